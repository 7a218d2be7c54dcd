#include "cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "cgroup_hierarchy.hpp"

namespace tslxc {

using namespace cgroup_detail;

namespace {

/** Where containers' cgroups are made: the root of the hierarchy, or the cgroup a service manager has delegated to this process. */
std::string base_of(const Hierarchy &hierarchy, std::string_view own_path) {
	auto own = directory_of(hierarchy, own_path);
	char value = 0;
	// systemd marks what it hands over (Delegate=yes) with this attribute on v2. systemd: CGROUP_DELEGATION.md
	if (own && hierarchy.v2 && ::getxattr(own->c_str(), "trusted.delegate", &value, 1) == 1 && value == '1') {
		return *own;
	}
	return hierarchy.mount_point;
}

/** hierarchy key → path, from /proc/PID/cgroup. cgroups(7) */
std::map<std::string, std::string> read_proc_cgroup(const std::string &file) {
	std::map<std::string, std::string> paths;
	for (const auto &line : split(read_file(file), '\n')) {
		auto first = line.find(':');
		auto second = first == line.npos ? line.npos : line.find(':', first + 1);
		if (second != line.npos) {
			auto key = line.substr(first + 1, second - first - 1);
			paths[key.empty() ? v2_key : key] = line.substr(second + 1);
		}
	}
	return paths;
}

struct Base {
	Hierarchy hierarchy;
	std::string dir;
};

std::vector<Base> writable_bases() {
	std::vector<Base> bases;
	auto own = read_proc_cgroup("/proc/self/cgroup");
	for (auto &hierarchy : mounted_hierarchies()) {
		if (hierarchy.read_only) {
			continue;
		}
		auto dir = base_of(hierarchy, own[hierarchy.key]);
		if (::access(dir.c_str(), W_OK) == 0) {
			bases.push_back({std::move(hierarchy), std::move(dir)});
		}
	}
	if (bases.empty()) {
		throw_error("host", "cannot make cgroups: no writable cgroup hierarchy is mounted",
					"run as root with /sys/fs/cgroup mounted, or see 'tslxc doctor'");
	}
	return bases;
}

struct Names {
	std::string payload, monitor, inner;
};

Names names_for(const Spec &spec, int attempt) {
	auto suffix = attempt == 0 ? std::string() : cat("-", attempt);
	return {
		cat(spec.cgroup.path.empty() ? cat("tslxc.payload.", spec.name) : spec.cgroup.path, suffix),
		cat(spec.cgroup.monitor_path.empty() ? cat("tslxc.monitor.", spec.name) : spec.cgroup.monitor_path, suffix),
		spec.cgroup.inner_path.empty() ? "guest" : spec.cgroup.inner_path,
	};
}

void remove_tree(const std::string &dir) {
	auto deadline = monotonic_ms() + 100;
	walk(dir, true, [&](const std::string &one) {
		// A process that has just died can hold its cgroup for a moment (EBUSY).
		for (unsigned round = 0; ::rmdir(one.c_str()) != 0 && errno == EBUSY && pause_until(deadline, round);) {
		}
	});
}

/** Makes each missing part below base. EEXIST of the last part is reported as false. */
bool make_below(const Base &base, const std::string &relative, bool with_controllers = true) {
	auto parts = split(relative, '/');
	std::string dir = base.dir;
	for (std::size_t i = 0; i < parts.size(); i++) {
		if (parts[i].empty() || parts[i] == "..") {
			throw_error("config", cat("cannot use '", relative, "' as a cgroup path"));
		}
		if (base.hierarchy.v2 && with_controllers) {
			v2_enable_controllers(dir);
		}
		dir += cat("/", parts[i]);
		if (::mkdir(dir.c_str(), 0755) != 0) {
			if (errno != EEXIST) {
				throw_errno("cgroup", cat("cannot make cgroup ", dir));
			}
			if (i + 1 == parts.size()) {
				return false;
			}
			continue;
		}
		if (!base.hierarchy.v2) {
			v1_prepare(dir, base.hierarchy);
		}
	}
	return true;
}

/** False: the name is taken by processes in some hierarchy. A leftover is removed and made anew. */
bool make_or_replace(const Base &base, const std::string &relative, bool with_controllers = true) {
	if (make_below(base, relative, with_controllers)) {
		return true;
	}
	auto dir = cat(base.dir, "/", relative);
	if (subtree_has_processes(dir)) {
		return false;
	}
	remove_tree(dir);
	return make_below(base, relative, with_controllers);
}

bool try_create(const std::vector<Base> &bases, const Names &names, bool has_devices, ContainerCgroups &made) {
	for (const auto &base : bases) {
		const auto &key = base.hierarchy.key;
		if (!make_or_replace(base, names.monitor, false)) {
			return false;
		}
		made.monitor[key] = cat(base.dir, "/", names.monitor);
		// Before controllers are enabled: some can be with processes here, and then nothing below takes a process any more. cgroup-v2.rst,
		// threads
		if (base.hierarchy.v2 && base.dir != base.hierarchy.mount_point) {
			v2_make_room(base.dir, made.monitor[key]);
		}
		if (!make_or_replace(base, names.payload)) {
			return false;
		}
		made.payload[key] = cat(base.dir, "/", names.payload);
		if (!has_devices || !base.hierarchy.has("devices")) {
			make_below(base, cat(names.payload, "/", names.inner)); // else by apply_devices
		}
		made.inner[key] = cat(made.payload[key], "/", names.inner);
	}
	return true;
}

void remove_made(const ContainerCgroups &made) {
	remove_cgroups(made.payload);
	if (const auto *monitor = v2_dir(made.monitor)) {
		leave_cgroups({{v2_key, *monitor}}); // v2_make_room
	}
	remove_cgroups(made.monitor);
}

} // namespace

ContainerCgroups create_cgroups(const Spec &spec) {
	auto bases = writable_bases();
	for (int attempt = 0; attempt < 1000; attempt++) {
		ContainerCgroups made;
		try {
			if (try_create(bases, names_for(spec, attempt), !spec.devices.empty(), made)) {
				return made;
			}
		} catch (...) {
			remove_made(made);
			throw;
		}
		remove_made(made);
	}
	throw_error("busy", cat("cannot make cgroups for '", spec.name, "': ", names_for(spec, 0).payload, " and its successors are in use"));
}

void enter_cgroups(const CgroupDirs &dirs, pid_t pid) {
	bool self = pid == 0 || pid == ::getpid();
	for (const auto &[key, dir] : dirs) {
		bool by_tasks = self && key != v2_key;
		int error = try_write(dir, by_tasks ? "tasks" : "cgroup.procs", by_tasks ? "0" : std::to_string(pid));
		if (error != 0) {
			throw_errno("cgroup", cat("cannot enter cgroup ", dir), error);
		}
	}
}

CgroupEntries open_v1_entries(const CgroupDirs &dirs) {
	CgroupEntries entries;
	for (const auto &[key, dir] : dirs) {
		if (key != v2_key) {
			entries.tasks.push_back(open_or_throw(cat(dir, "/tasks"), O_WRONLY));
		}
	}
	return entries;
}

void enter_v1(const CgroupEntries &entries) {
	for (const auto &fd : entries.tasks) {
		if (::write(fd.get(), "0", 1) < 0) {
			throw_errno("cgroup", "cannot enter the container's cgroup");
		}
	}
}

Fd open_v2_cgroup(const CgroupDirs &dirs) {
	const auto *dir = v2_dir(dirs);
	return dir == nullptr ? Fd() : open_or_throw(*dir, O_RDONLY | O_DIRECTORY);
}

void delegate_cgroups(const ContainerCgroups &cgroups, uid_t uid, gid_t gid) {
	if (uid == 0 && gid == 0) {
		return;
	}
	for (const auto &[key, dir] : cgroups.inner) {
		static constexpr std::array v1_files = {"", "/tasks", "/cgroup.procs"};
		static constexpr std::array v2_files = {"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"};
		auto give = [&, &directory = dir](const char *file) {
			auto path = cat(directory, file);
			if (::chown(path.c_str(), uid, gid) != 0 && errno != ENOENT) {
				throw_errno("cgroup", cat("cannot change the owner of ", path));
			}
		};
		if (key == v2_key) {
			std::ranges::for_each(v2_files, give);
		} else {
			std::ranges::for_each(v1_files, give);
		}
	}
}

void freeze(const CgroupDirs &payload, int timeout_ms) {
	const auto *unified = v2_dir(payload);
	// v2 notifies, and what it froze can still be killed: preferred also on hybrid hosts.
	if (unified != nullptr && v2_can_freeze(*unified)) {
		v2_freeze(*unified, timeout_ms);
	} else if (const auto *dir = v1_dir(payload, "freezer")) {
		v1_freeze(*dir, timeout_ms);
	} else {
		throw_error("host", "cannot freeze: this host has neither cgroup v2's freezer nor v1's", "run 'tslxc doctor'");
	}
}

void thaw(const CgroupDirs &payload) {
	const auto *unified = v2_dir(payload);
	if (unified != nullptr && v2_can_freeze(*unified)) {
		v2_thaw(*unified);
	}
	// Also where v2 is there: someone else may have used v1's.
	if (const auto *dir = v1_dir(payload, "freezer")) {
		v1_thaw(*dir);
	}
}

bool is_frozen(const CgroupDirs &payload) {
	const auto *unified = v2_dir(payload);
	if (unified != nullptr) {
		auto events = try_read(*unified, "cgroup.events");
		if (events && keyed_value(*events, "frozen") == 1u) {
			return true;
		}
	}
	const auto *dir = v1_dir(payload, "freezer");
	auto state = dir == nullptr ? std::nullopt : try_read(*dir, "freezer.state");
	return state && trim(*state) == "FROZEN";
}

bool kill_all(const CgroupDirs &payload, int timeout_ms) {
	const auto *freezer = v1_dir(payload, "freezer");
	auto deadline = monotonic_ms() + timeout_ms;
	auto left = [&] { return static_cast<int>(std::max(0LL, deadline - monotonic_ms())); };
	std::optional<bool> killed;
	if (const auto *unified = v2_dir(payload)) {
		if (freezer != nullptr && ::access(freezer->c_str(), F_OK) == 0 && is_frozen({{"freezer", *freezer}})) {
			v1_thaw(*freezer);
		}
		killed = v2_kill(*unified, left());
	}
	bool all = killed.value_or(true);
	for (const auto &[key, dir] : payload) {
		if (key == v2_key && killed) {
			continue;
		}
		// Behind cgroup.kill the v1 directories are empty as a rule; one look each.
		all = v1_kill(dir, freezer, left()) && all;
	}
	return all;
}

bool has_processes(const CgroupDirs &payload) {
	return std::ranges::any_of(payload, [](const auto &entry) {
		if (entry.first == v2_key) {
			auto events = try_read(entry.second, "cgroup.events");
			return events && keyed_value(*events, "populated") == 1u;
		}
		return subtree_has_processes(entry.second);
	});
}

void remove_cgroups(const CgroupDirs &dirs) {
	for (const auto &entry : dirs) {
		remove_tree(entry.second);
	}
}

CgroupUsage read_usage(const CgroupDirs &payload) {
	CgroupUsage usage;
	v1_read_usage(payload, usage);
	if (const auto *dir = v2_dir(payload)) {
		v2_read_usage(*dir, usage);
	}
	return usage;
}

CgroupDirs cgroups_of(pid_t pid) {
	CgroupDirs dirs;
	auto paths = read_proc_cgroup(cat("/proc/", pid, "/cgroup"));
	for (const auto &hierarchy : mounted_hierarchies()) {
		auto found = paths.find(hierarchy.key);
		auto dir = found == paths.end() ? std::nullopt : directory_of(hierarchy, found->second);
		if (dir) {
			dirs[hierarchy.key] = *dir;
		}
	}
	return dirs;
}

CgroupDirs cgroups_below(const CgroupDirs &payload, pid_t pid) {
	CgroupDirs dirs;
	auto paths = read_proc_cgroup(cat("/proc/", pid, "/cgroup"));
	for (const auto &[key, dir] : payload) {
		auto found = paths.find(key);
		auto name = dir.substr(dir.rfind('/')); // "/tslxc.payload.web"
		auto at = found == paths.end() ? std::string::npos : found->second.find(cat(name, "/"));
		if (at == std::string::npos) {
			return cgroups_of(pid); // moved out of the payload
		}
		dirs[key] = cat(dir, found->second.substr(at + name.size()));
	}
	return dirs;
}

} // namespace tslxc
