#include "idmap.hpp"

#include <unistd.h>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

void write_map(pid_t pid, char type, const std::vector<IdRange> &ranges) {
	std::string lines;
	std::vector<std::string> argv{type == 'u' ? "newuidmap" : "newgidmap", std::to_string(pid)};
	for (const IdRange &range : ranges) {
		if (range.type != type) {
			continue;
		}
		lines += cat(range.inside, ' ', range.outside, ' ', range.count, '\n');
		for (const std::uint32_t number : {range.inside, range.outside, range.count}) {
			argv.push_back(std::to_string(number));
		}
	}
	if (::geteuid() == 0) {
		write_file(cat("/proc/", pid, type == 'u' ? "/uid_map" : "/gid_map"), lines);
		return;
	}
	const RunResult result = run_program(argv, {});
	if (result.exit_code != 0) {
		throw_error("host", cat("cannot write the id map: ", argv[0], ": ", trim(result.output)),
					"give your user a range in /etc/subuid and /etc/subgid, and install uidmap");
	}
}

} // namespace

void write_id_maps(pid_t pid, const std::vector<IdRange> &ranges) {
	write_map(pid, 'u', ranges);
	write_map(pid, 'g', ranges);
}

std::optional<std::uint32_t> map_id(const std::vector<IdRange> &ranges, char type, std::uint32_t inside) {
	for (const IdRange &range : ranges) {
		if (range.type == type && inside >= range.inside && inside - range.inside < range.count) {
			return range.outside + (inside - range.inside);
		}
	}
	return std::nullopt;
}

std::vector<IdRange> without_root(const std::vector<IdRange> &ranges) {
	std::vector<IdRange> result;
	for (IdRange range : ranges) {
		if (range.inside == 0) {
			++range.inside;
			++range.outside;
			--range.count;
		}
		if (range.count > 0) {
			result.push_back(range);
		}
	}
	return result;
}

} // namespace tslxc
