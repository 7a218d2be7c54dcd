#include "specs.hpp"

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "node.hpp"

namespace tslxc {

std::optional<std::string> fresh_spec(const std::string &directory, const std::string &build, StampCache &seen) {
	auto text = read_file_if_present(directory + "/spec.json");
	const auto head = text ? parse_spec_head(*text) : std::nullopt;
	return head && !is_stale(*head, build, seen) ? std::move(text) : std::nullopt;
}

std::string up_to_date_spec(const Paths &paths, const std::string &name) {
	const std::string directory = paths.container_dir(name);
	const std::string build = build_id();
	StampCache seen;
	if (auto text = fresh_spec(directory, build, seen)) {
		return std::move(*text);
	}
	const auto errors = compile_specs(paths, {name});
	if (!errors.empty()) {
		throw SysError(errors.front());
	}
	// Not checked again for freshness: an edit in this very moment applies to the next start.
	return read_file(directory + "/spec.json");
}

void refresh_specs(const Paths &paths, const std::vector<std::string> &names) {
	const std::string build = build_id();
	StampCache seen;
	std::vector<std::string> stale;
	for (const std::string &name : names) {
		const std::string directory = paths.container_dir(name);
		if (exists(directory + "/config.yaml") && !fresh_spec(directory, build, seen)) {
			stale.push_back(name);
		}
	}
	if (stale.empty()) {
		return;
	}
	try {
		compile_specs(paths, stale);
	} catch (const SysError &) {
	}
}

std::string spec_companion(const std::string &directory, const std::string &file) {
	if (file.find('/') != std::string::npos || file.empty() || file[0] == '.') {
		throw_error("config", cat("cannot read spec: security.seccompFilter is '", file, "', no name of a file beside it"));
	}
	return read_file(cat(directory, '/', file));
}

bool inputs_changed(const SpecHead &head) {
	StampCache seen;
	return is_stale(head, head.build, seen);
}

} // namespace tslxc
