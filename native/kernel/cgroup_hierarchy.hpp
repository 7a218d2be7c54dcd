// What cgroup.cpp, cgroup_v1.cpp and cgroup_v2.cpp share: the mounted hierarchies and small file helpers. Not for other folders.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../base/fd.hpp"
#include "../base/time.hpp"
#include "cgroup.hpp"

namespace tslxc::cgroup_detail {

inline constexpr const char *v2_key = "v2";

struct Hierarchy {
	std::string key; // as in State::cgroups, and as /proc/PID/cgroup spells it
	bool v2 = false;
	bool read_only = false;
	std::string mount_point;
	std::string root; // which part of the hierarchy is mounted there; "/" as a rule
	std::vector<std::string> controllers;
	bool has(std::string_view controller) const;
};

/** From /proc/self/mountinfo; one entry a hierarchy, a mount of its root preferred. */
std::vector<Hierarchy> mounted_hierarchies();
/** For tests: the same from given text. */
std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo);
/** `path` as in /proc/PID/cgroup → directory below the mount; nothing when it lies outside of what is mounted. */
std::optional<std::string> directory_of(const Hierarchy &hierarchy, std::string_view path);

/** The directory of the hierarchy that carries a v1 controller; nullptr: not there. */
const std::string *v1_dir(const CgroupDirs &dirs, std::string_view controller);
const std::string *v2_dir(const CgroupDirs &dirs);

/** Writes to DIR/FILE; 0 or errno. */
int try_write(const std::string &dir, const char *file, std::string_view value);
/** Reads DIR/FILE; nothing on any failure (a cgroup may vanish at any time). */
std::optional<std::string> try_read(const std::string &dir, const char *file);
std::optional<std::uint64_t> try_read_number(const std::string &dir, const char *file);
/** The value behind `key ` in a flat keyed file. */
std::optional<std::uint64_t> keyed_value(std::string_view text, std::string_view key);

/** Calls for dir and every directory below; children first when `deepest_first`. */
void walk(const std::string &dir, bool deepest_first, const std::function<void(const std::string &)> &visit);
/** True when cgroup.procs of dir or of a directory below lists something. */
bool subtree_has_processes(const std::string &dir);
/** A pause that grows from 50 µs to 2 ms, for what the kernel does not notify; false when the deadline (CLOCK_MONOTONIC ms) passed. */
bool pause_until(long long deadline_ms, unsigned &round);

// cgroup_v1.cpp
void v1_prepare(const std::string &dir, const Hierarchy &hierarchy);
void v1_freeze(const std::string &freezer_dir, int timeout_ms);
void v1_thaw(const std::string &freezer_dir);
bool v1_kill(const std::string &dir, const std::string *freezer_dir, int timeout_ms);
void v1_apply_devices(const std::string &payload, const std::string *inner, const std::vector<DeviceRule> &rules);
void v1_read_usage(const CgroupDirs &payload, CgroupUsage &usage);

// cgroup_v2.cpp
/** Enables every controller dir has for its children, one by one where the batch is refused. */
void v2_enable_controllers(const std::string &dir);
/** Moves this program's processes from a delegated base to the monitor's group below it: a group with processes can't pass controllers on.
 */
void v2_make_room(const std::string &base, const std::string &monitor);
void v2_freeze(const std::string &dir, int timeout_ms);
bool v2_can_freeze(const std::string &dir);
void v2_thaw(const std::string &dir);
/** Nothing: this kernel has no cgroup.kill (before 5.14). */
std::optional<bool> v2_kill(const std::string &dir, int timeout_ms);
void v2_apply_devices(const std::string &payload, const std::vector<DeviceRule> &rules);
void v2_read_usage(const std::string &dir, CgroupUsage &usage);

} // namespace tslxc::cgroup_detail
