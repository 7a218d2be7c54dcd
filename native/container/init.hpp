// The child: from clone3 to the exec of the container's init.
#pragma once

#include <string>

#include "../base/fd.hpp"
#include "../kernel/cgroup.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

struct InitArguments {
	const Spec &spec;
	Fd sync; // init's end
	CgroupEntries cgroups;
	std::string rootfs_mount;	// rootfs_mount_point()
	std::string seccomp_filter; // content of the compiled filter
	std::string oom_score;		// empty: the monitor's
};

/** Carries the plan out and execs. An error goes over the sync socket, whole. */
[[noreturn]] void run_init(InitArguments arguments) noexcept;

} // namespace tslxc
