// The child: from clone3 to the exec of the container's init.
#pragma once

#include <string>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

struct InitArguments {
	const Spec &spec;
	Fd sync;					// init's end
	std::string rootfs_mount;	// rootfs_mount_point()
	std::string seccomp_filter; // content of the compiled filter
	bool reset_oom_score = false;
};

/** Carries the plan out and execs. An error goes over the sync socket, whole. */
[[noreturn]] void run_init(InitArguments arguments) noexcept;

} // namespace tslxc
