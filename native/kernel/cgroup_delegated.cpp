// Where this program itself stands: a service manager may have handed over the cgroup it was started in. systemd: CGROUP_DELEGATION.md
#include <sys/stat.h>

#include <cerrno>

#include "../base/text.hpp"
#include "cgroup_hierarchy.hpp"

namespace tslxc {

using namespace cgroup_detail;

namespace {

bool same_program(const std::string &pid) {
	struct stat ours {};
	struct stat theirs {};
	return ::stat("/proc/self/exe", &ours) == 0 && ::stat(cat("/proc/", pid, "/exe").c_str(), &theirs) == 0 &&
		   ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/** The last error; 0: all are there. */
int move_processes(const std::string &from, const std::string &to, bool only_ours) {
	int result = 0;
	for (const auto &pid : split(trim(try_read(from, "cgroup.procs").value_or("")), '\n')) {
		if (pid.empty() || (only_ours && !same_program(pid))) {
			continue;
		}
		int error = try_write(to, "cgroup.procs", pid);
		result = error == 0 || error == ESRCH ? result : error;
	}
	return result;
}

/** Refused as a whole while a group below passes controllers on: containers that run here keep theirs. */
int disable_controllers(const std::string &dir) {
	std::vector<std::string> words;
	for (const auto &name : split(trim(try_read(dir, "cgroup.subtree_control").value_or("")), ' ')) {
		if (!name.empty()) {
			words.push_back(cat("-", name));
		}
	}
	return words.empty() ? 0 : try_write(dir, "cgroup.subtree_control", join(words, " "));
}

} // namespace

void cgroup_detail::v2_make_room(const std::string &base, const std::string &monitor) {
	move_processes(base, monitor, true);
}

void leave_cgroups(const CgroupDirs &monitor) {
	for (const auto &[key, dir] : monitor) {
		auto parent = dir;
		for (auto slash = parent.rfind('/'); slash != parent.npos && slash > 0; slash = parent.rfind('/')) {
			parent.resize(slash);
			if (key != v2_key) {
				if (try_write(parent, "tasks", "0") == 0) {
					break;
				}
			} else if (move_processes(dir, parent, false) == 0 ||
					   (disable_controllers(parent) == 0 && move_processes(dir, parent, false) == 0)) {
				break;
			}
		}
	}
}

} // namespace tslxc
