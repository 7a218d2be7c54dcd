// The configured programs that run at fixed points of a container's life, called as LXC calls them. lxc.container.conf(5)
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "../spec/spec.hpp"

namespace tslxc {

/** What the spec does not know and hooks are told. */
struct HookContext {
	std::string rootfs_mount;
	std::string console; // path of the console's device, "none" or empty
	std::string log_level;
	pid_t init_pid = 0; // 0: not yet known
	std::string target; // stop and post-stop: "stop" or "reboot"
	/** Namespace ("net") and a path that leads to it as long as the monitor keeps it: stop hooks. */
	std::vector<std::pair<std::string, std::string>> namespaces;
};

bool has_hooks(const Spec &spec, const std::string &point);
/** Runs every program of a point in order and waits. The first that fails throws SysError with its name, exit code and last line. Output
 *  goes to the log. */
void run_hooks(const Spec &spec, const std::string &point, const HookContext &context);

} // namespace tslxc
