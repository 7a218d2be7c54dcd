// A container's cgroups on v1, hybrid and v2 hosts behind one set of functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

/** Hierarchy → absolute directory. Keys as in State::cgroups. */
using CgroupDirs = std::map<std::string, std::string>;

struct ContainerCgroups {
	CgroupDirs payload; // carries the limits, stays ours
	CgroupDirs inner;	// payload/guest: delegated, root of the cgroup namespace
	CgroupDirs monitor;
};

/** Makes monitor, payload and guest in every writable hierarchy and enables the controllers the limits need. A leftover without processes
 *  is removed and reused, a live one of another container of the same name gets `-1`, `-2`, … On v1 cpuset is filled from the parent first.
 *  Undoes itself on failure. */
ContainerCgroups create_cgroups(const Spec &spec);
/** Moves a process into every hierarchy. Another process, and any process on v2, goes through cgroup.procs, whose first write after an
 *  idle time takes about 11 ms; `pid` 0 or getpid() (single-threaded) is moved on v1 through `tasks`, which takes no global lock. */
void enter_cgroups(const CgroupDirs &dirs, pid_t pid);
/** The cheap way for a child: opened by a parent that may, entered by the child itself after clone3. v2 comes by CLONE_INTO_CGROUP
 *  (open_v2_cgroup) and is left out. The files' opener is what the kernel checks, so the child needs no rights. */
struct CgroupEntries {
	std::vector<Fd> tasks;
};
CgroupEntries open_v1_entries(const CgroupDirs &dirs);
/** Moves the calling, single-threaded process. Throws SysError. */
void enter_v1(const CgroupEntries &entries);
/** For clone3's CLONE_INTO_CGROUP; empty where no v2 hierarchy is mounted. */
Fd open_v2_cgroup(const CgroupDirs &dirs);
/** Writes spec.cgroup's limits (v2 list where v2 has the controller, else the v1 list). Throws SysError naming file and value. */
void apply_limits(const ContainerCgroups &cgroups, const Spec &spec);
/** Device rules, the whole list in force: v1 devices.allow/deny where that is mounted, else a BPF program on v2. Call it right after
 *  create_cgroups with the spec's own rules: the guest directory of v1's devices hierarchy is made here when there are any. Skipped without
 *  a word where this process may not (nested in a user namespace, which denies mknod already). */
void apply_devices(const ContainerCgroups &cgroups, const std::vector<DeviceRule> &rules);
/** Owner of guest directories and of the files delegation needs (cgroup.procs, cgroup.subtree_control, cgroup.threads; v1: the directory,
 * tasks, cgroup.procs). */
void delegate_cgroups(const ContainerCgroups &cgroups, uid_t uid, gid_t gid);
/** Freezes the payload and waits until it is (at most timeout_ms, by notification, never by sleeping); throws SysError. */
void freeze(const CgroupDirs &payload, int timeout_ms);
void thaw(const CgroupDirs &payload);
bool is_frozen(const CgroupDirs &payload);
/** cgroup.kill, or SIGKILL to every process until none is left; a frozen one is thawed. Waits until empty, at most timeout_ms. False: some
 * are left. */
bool kill_all(const CgroupDirs &payload, int timeout_ms);
bool has_processes(const CgroupDirs &payload);
/** Moves this process out of the monitor's groups, which are about to go: to their parents, or further up where those may not hold
 *  processes. On v2 a starting command that came in along with the monitor is moved too. */
void leave_cgroups(const CgroupDirs &monitor);
/** Removes the whole subtrees; absent is success. */
void remove_cgroups(const CgroupDirs &dirs);

struct CgroupUsage {
	std::optional<std::uint64_t> cpu_ns, memory_bytes, swap_bytes, kernel_memory_bytes, io_bytes;
};
CgroupUsage read_usage(const CgroupDirs &payload);

/** The current cgroup of a process in each mounted hierarchy, absolute directories (from /proc/PID/cgroup and our mounts). */
CgroupDirs cgroups_of(pid_t pid);
/** The same for a process of a container whose payload directories are known: saves reading the mount table, which may be long. */
CgroupDirs cgroups_below(const CgroupDirs &payload, pid_t pid);

} // namespace tslxc
