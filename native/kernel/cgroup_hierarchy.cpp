#include "cgroup_hierarchy.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "../base/file.hpp"
#include "../base/text.hpp"

namespace tslxc::cgroup_detail {

namespace {

// mountinfo writes space, tab, newline and backslash as \ooo. proc_pid_mountinfo(5)
std::string unescape(std::string_view text) {
	std::string out;
	for (std::size_t i = 0; i < text.size(); i++) {
		if (text[i] == '\\' && i + 3 < text.size()) {
			out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
			i += 3;
		} else {
			out.push_back(text[i]);
		}
	}
	return out;
}

std::vector<std::string_view> words(std::string_view text, char separator) {
	std::vector<std::string_view> out;
	while (!text.empty()) {
		auto end = text.find(separator);
		out.push_back(text.substr(0, end));
		text.remove_prefix(end == text.npos ? text.size() : end + 1);
	}
	return out;
}

constexpr std::array<std::string_view, 8> not_controllers = {"rw",		 "ro",	  "none",			"clone_children",
															 "noprefix", "xattr", "cpuset_v2_mode", "favordynmods"};

void read_v1_options(std::string_view options, Hierarchy &hierarchy) {
	std::string name;
	for (auto option : words(options, ',')) {
		if (option.starts_with("name=")) {
			name = option;
		} else if (option.find('=') == option.npos && std::ranges::find(not_controllers, option) == not_controllers.end()) {
			hierarchy.controllers.emplace_back(option);
		}
	}
	hierarchy.key = join(hierarchy.controllers, ",");
	if (!name.empty()) {
		hierarchy.key += hierarchy.key.empty() ? name : cat(",", name);
	}
}

std::optional<Hierarchy> parse_line(std::string_view line) {
	auto dash = line.find(" - cgroup");
	if (dash == line.npos) {
		return {};
	}
	auto left = words(line.substr(0, dash), ' ');
	auto right = words(line.substr(dash + 3), ' ');
	if (left.size() < 6 || right.size() < 3) {
		return {};
	}
	Hierarchy hierarchy;
	hierarchy.v2 = right[0] == "cgroup2";
	hierarchy.root = unescape(left[3]);
	hierarchy.mount_point = unescape(left[4]);
	hierarchy.read_only = left[5].starts_with("ro") || right[2].starts_with("ro,") || right[2] == "ro";
	if (hierarchy.v2) {
		hierarchy.key = v2_key;
	} else {
		read_v1_options(right[2], hierarchy);
	}
	return hierarchy;
}

} // namespace

bool Hierarchy::has(std::string_view controller) const {
	return std::ranges::find(controllers, controller) != controllers.end();
}

std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo) {
	std::vector<Hierarchy> found;
	for (auto line : words(mountinfo, '\n')) {
		auto hierarchy = parse_line(line);
		if (!hierarchy) {
			continue;
		}
		auto same = std::ranges::find(found, hierarchy->key, &Hierarchy::key);
		if (same == found.end()) {
			found.push_back(std::move(*hierarchy));
		} else if ((same->root != "/" && hierarchy->root == "/") || (same->read_only && !hierarchy->read_only)) {
			*same = std::move(*hierarchy);
		}
	}
	return found;
}

std::vector<Hierarchy> mounted_hierarchies() {
	return parse_hierarchies(read_file("/proc/self/mountinfo"));
}

std::optional<std::string> directory_of(const Hierarchy &hierarchy, std::string_view path) {
	std::string_view root = hierarchy.root;
	if (root == "/") {
		root = "";
	}
	if (!path.starts_with(root) || path.starts_with("/..")) {
		return {};
	}
	path.remove_prefix(root.size());
	if (path == "/" || path.empty()) {
		return hierarchy.mount_point;
	}
	return path[0] == '/' ? std::optional(cat(hierarchy.mount_point, path)) : std::nullopt;
}

const std::string *v1_dir(const CgroupDirs &dirs, std::string_view controller) {
	for (const auto &[key, dir] : dirs) {
		if (key == v2_key) {
			continue;
		}
		auto names = words(key, ',');
		if (std::ranges::find(names, controller) != names.end()) {
			return &dir;
		}
	}
	return nullptr;
}

const std::string *v2_dir(const CgroupDirs &dirs) {
	auto found = dirs.find(v2_key);
	return found == dirs.end() ? nullptr : &found->second;
}

int try_write(const std::string &dir, const char *file, std::string_view value) {
	Fd fd(::open(cat(dir, "/", file).c_str(), O_WRONLY | O_CLOEXEC));
	if (!fd || ::write(fd.get(), value.data(), value.size()) < 0) {
		return errno;
	}
	return 0;
}

std::optional<std::string> try_read(const std::string &dir, const char *file) {
	Fd fd(::open(cat(dir, "/", file).c_str(), O_RDONLY | O_CLOEXEC));
	if (!fd) {
		return {};
	}
	std::string out;
	std::array<char, 4096> buffer;
	ssize_t count;
	while ((count = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
		out.append(buffer.data(), static_cast<std::size_t>(count));
	}
	return count < 0 ? std::nullopt : std::optional(std::move(out));
}

std::optional<std::uint64_t> try_read_number(const std::string &dir, const char *file) {
	auto text = try_read(dir, file);
	auto number = text ? to_int(trim(*text)) : std::nullopt;
	return number && *number >= 0 ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

std::optional<std::uint64_t> keyed_value(std::string_view text, std::string_view key) {
	for (auto line : words(text, '\n')) {
		if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') {
			auto number = to_int(trim(line.substr(key.size() + 1)));
			return number ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
		}
	}
	return {};
}

void walk(const std::string &dir, bool deepest_first, const std::function<void(const std::string &)> &visit) {
	if (!deepest_first) {
		visit(dir);
	}
	// Names are collected first: visit may remove what is being listed.
	std::vector<std::string> children;
	if (DIR *stream = ::opendir(dir.c_str())) {
		while (const dirent *entry = ::readdir(stream)) {
			std::string_view name = entry->d_name;
			if (entry->d_type == DT_DIR && name != "." && name != "..") {
				children.emplace_back(name);
			}
		}
		::closedir(stream);
	}
	for (const auto &child : children) {
		walk(cat(dir, "/", child), deepest_first, visit);
	}
	if (deepest_first) {
		visit(dir);
	}
}

bool subtree_has_processes(const std::string &dir) {
	bool found = false;
	walk(dir, false, [&](const std::string &one) {
		if (!found) {
			auto text = try_read(one, "cgroup.procs");
			found = text && !text->empty();
		}
	});
	return found;
}

bool pause_until(long long deadline_ms, unsigned &round) {
	if (monotonic_ms() >= deadline_ms) {
		return false;
	}
	long nanoseconds = std::min(50'000L << std::min(round, 6u), 2'000'000L);
	round++;
	timespec pause{0, nanoseconds};
	::nanosleep(&pause, nullptr);
	return true;
}

} // namespace tslxc::cgroup_detail
