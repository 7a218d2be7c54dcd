// The parent's half of a start: from the cgroups to the moment init's program runs.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "../base/fd.hpp"
#include "../kernel/cgroup.hpp"
#include "../spec/paths.hpp"
#include "../spec/spec.hpp"
#include "../spec/state.hpp"

namespace tslxc {

struct LaunchRequest {
	const Spec &spec;
	const Paths &paths;
	const ContainerCgroups &cgroups;
	std::string oom_score; // what init gets; empty: the caller's
};

struct Launched {
	pid_t pid = 0;
	unsigned long long start_time = 0;
	Fd pidfd;
	std::vector<InterfaceState> interfaces;
	Fd console; // master; empty: the container has none
	std::vector<Fd> ttys;
	/** Namespace → descriptor, for stop hooks only: an open one keeps the namespace alive. */
	std::vector<std::pair<std::string, Fd>> namespaces;
};

/** Clones init, hands it maps, mounts and links, runs the start-host hooks and returns when its program runs. On an error init is dead and
 *  reaped; the cgroups stay. */
Launched launch(const LaunchRequest &request);

/** The guest's owner of its delegated cgroups: the ids its root is mapped to. */
std::pair<uid_t, gid_t> guest_root(const Spec &spec);

} // namespace tslxc
