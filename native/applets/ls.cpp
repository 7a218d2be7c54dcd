#include <dirent.h>
#include <fcntl.h>
#include <regex.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../spec/spec.hpp"
#include "applets.hpp"
#include "listing.hpp"
#include "node.hpp"
#include "specs.hpp"

namespace tslxc {

namespace {
/** Names of what is in a directory, but for what starts with a dot. Empty when it is absent. */
std::vector<std::string> read_names(const std::string &path) {
	std::vector<std::string> out;
	DIR *directory = ::opendir(path.c_str());
	if (directory == nullptr) {
		if (errno != ENOENT && errno != ENOTDIR) {
			throw_errno("list", cat("cannot list ", path));
		}
		return out;
	}
	while (const dirent *entry = ::readdir(directory)) {
		if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN)) {
			out.emplace_back(entry->d_name);
		}
	}
	::closedir(directory);
	return out;
}

class Pattern {
public:
	explicit Pattern(const std::optional<std::string> &text) : there_(text && !text->empty()) {
		if (there_ && ::regcomp(&compiled_, text->c_str(), REG_NOSUB | REG_EXTENDED) != 0) {
			throw_error("usage", cat("cannot list by '", *text, "': it is no regular expression"));
		}
	}
	Pattern(const Pattern &) = delete;
	Pattern &operator=(const Pattern &) = delete;
	~Pattern() {
		if (there_) {
			::regfree(&compiled_);
		}
	}
	bool matches(const std::string &name) const { return !there_ || ::regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0; }

private:
	bool there_;
	regex_t compiled_{};
};

std::vector<Row> find_containers(const Invocation &invocation, const std::vector<std::string> &has_run) {
	const auto filter = invocation.value("filter");
	const Pattern pattern(filter ? filter : invocation.rest.empty() ? std::nullopt : std::optional(invocation.rest[0]));
	const Fd directory(::open(invocation.paths.lxcpath.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
	std::vector<Row> rows;
	std::set<std::string> defined;
	for (std::string &name : read_names(invocation.paths.lxcpath)) {
		if (pattern.matches(name) && ::faccessat(directory.get(), (name + "/config.yaml").c_str(), F_OK, 0) == 0) {
			defined.insert(name);
			rows.push_back({std::move(name), true, {}, {}});
		}
	}
	for (const std::string &name : has_run) {
		if (name != "locks" && pattern.matches(name) && !defined.contains(name)) {
			rows.push_back({name, false, {}, {}});
		}
	}
	std::sort(rows.begin(), rows.end(), [](const Row &left, const Row &right) { return left.name < right.name; });
	return rows;
}

void observe_rows(const Invocation &invocation, std::vector<Row> &rows, const std::vector<std::string> &has_run) {
	const std::set<std::string> ran(has_run.begin(), has_run.end());
	for (Row &row : rows) {
		if (ran.contains(row.name)) {
			row.seen = observe(invocation.paths.run_dir(row.name));
		}
	}
	// What runs without a configuration of its own is listed while it runs.
	std::erase_if(rows, [](const Row &row) { return !row.defined && row.seen.state.state == RunState::stopped; });
}

bool passes(const Invocation &invocation, const Row &row) {
	const RunState state = row.seen.state.state;
	const bool active = state != RunState::stopped;
	// As LXC's: --running lets frozen ones through, several filters must all hold.
	return (!invocation.has("active") || active) && (!invocation.has("running") || active) &&
		   (!invocation.has("frozen") || state == RunState::frozen) && (!invocation.has("stopped") || !active) &&
		   (!invocation.has("defined") || row.defined);
}

std::optional<SpecHead> read_head(const std::string &file, const std::string &build, StampCache &seen) {
	// The head is at the front: most specs need no second read.
	constexpr std::size_t usual = 8192;
	const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
	std::string text(usual, '\0');
	const ssize_t count = fd ? TEMP_FAILURE_RETRY(::read(fd.get(), text.data(), usual)) : -1;
	if (count <= 0) {
		return std::nullopt;
	}
	text.resize(static_cast<std::size_t>(count));
	auto head = parse_spec_head(text);
	if (!head && text.size() == usual) {
		head = parse_spec_head(text + read_all(fd.get(), file));
	}
	return head && !is_stale(*head, build, seen) ? head : std::nullopt;
}

/** Listing facts of all rows; those with stale specs are compiled by one child. What can't be compiled shows as unknown. */
void read_listings(const Invocation &invocation, std::vector<Row> &rows) {
	const std::string build = build_id();
	StampCache seen;
	std::vector<std::string> stale;
	const auto take = [&](Row &row) {
		if (auto head = read_head(invocation.paths.container_dir(row.name) + "/spec.json", build, seen)) {
			row.listing = std::move(head->listing);
		}
	};
	for (Row &row : rows) {
		if (row.defined) {
			take(row);
			if (!row.listing) {
				stale.push_back(row.name);
			}
		}
	}
	if (stale.empty()) {
		return;
	}
	try {
		for (const ErrorInfo &error : compile_specs(invocation.paths, stale)) {
			say(invocation, cat("warning: ", error.message));
		}
	} catch (const SysError &error) {
		say(invocation, cat("warning: ", error.what()));
	}
	seen.clear();
	for (Row &row : rows) {
		if (row.defined && !row.listing) {
			take(row);
		}
	}
}

bool in_all_groups(const Row &row, const std::vector<std::string> &wanted) {
	return std::all_of(wanted.begin(), wanted.end(), [&row](const std::string &group) {
		return row.listing && std::find(row.listing->groups.begin(), row.listing->groups.end(), group) != row.listing->groups.end();
	});
}

std::vector<std::string> wanted_groups(const Invocation &invocation) {
	std::vector<std::string> out;
	for (const std::string &list : invocation.values("groups")) {
		for (std::string &group : split(list, ',')) {
			if (!group.empty()) {
				out.push_back(std::move(group));
			}
		}
	}
	return out;
}

/** Names side by side, as wide as the terminal; without one each on its line. */
std::string names_text(const std::vector<Row> &rows, bool one_a_line) {
	std::size_t width = 4; // of LXC's header
	for (const Row &row : rows) {
		width = std::max(width, row.name.size());
	}
	winsize window{};
	::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
	std::string out;
	std::size_t used = 0;
	for (const Row &row : rows) {
		out += row.name;
		if (one_a_line) {
			out += '\n';
			continue;
		}
		out.append(width - row.name.size(), ' ');
		used += width;
		if (used + width + 1 > window.ws_col) {
			out += '\n';
			used = 0;
		} else {
			out += ' ';
			used++;
		}
	}
	return used > 0 ? out + '\n' : out;
}
} // namespace

int ls_applet(const Invocation &invocation) {
	if (invocation.has("nesting")) {
		throw_error("usage", "cannot list nested containers: '--nesting' is not supported", "run 'tslxc attach NAME -- tslxc ls'");
	}
	const bool fancy = invocation.has("fancy");
	const auto columns = read_columns(fancy ? invocation.value("fancy-format") : std::nullopt);
	const auto groups = wanted_groups(invocation);
	const auto has_run = read_names(invocation.paths.run_lxcpath);
	auto rows = find_containers(invocation, has_run);
	const bool plain_states =
		invocation.has("active") || invocation.has("running") || invocation.has("frozen") || invocation.has("stopped");
	if (fancy || invocation.json || plain_states || std::any_of(rows.begin(), rows.end(), [](const Row &row) { return !row.defined; })) {
		observe_rows(invocation, rows, has_run);
	}
	std::erase_if(rows, [&invocation](const Row &row) { return !passes(invocation, row); });
	if (!groups.empty() || invocation.json || (fancy && need_listing(columns))) {
		read_listings(invocation, rows);
	}
	std::erase_if(rows, [&groups](const Row &row) { return !in_all_groups(row, groups); });
	if (invocation.json) {
		print(rows_json(rows));
	} else if (!rows.empty()) {
		print(fancy ? table_text(rows, columns) : names_text(rows, invocation.has("line")));
	}
	return 0;
}

} // namespace tslxc
