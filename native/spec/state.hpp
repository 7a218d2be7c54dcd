// What a container is doing: state.json and events.jsonl in its run directory, and whether its monitor lives.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../base/fd.hpp"

namespace tslxc {

enum class RunState { stopped, starting, running, stopping, aborting, freezing, frozen, thawed };
const char *state_name(RunState state); // "STOPPED" …
std::optional<RunState> parse_state_name(std::string_view name);

struct InterfaceState {
	int index = 0;
	std::string type, name, host_name, hwaddr, link;
};

struct State {
	RunState state = RunState::stopped;
	pid_t init_pid = 0;
	unsigned long long init_start_time = 0;
	pid_t monitor_pid = 0;
	/** Hierarchy → absolute directory of the payload cgroup. Key: "v2" or the v1 controllers as mounted, e.g. "cpu,cpuacct",
	 * "name=systemd". */
	std::map<std::string, std::string> cgroups;
	/** The same for the monitor's own cgroup, for cleaning up after a crash. */
	std::map<std::string, std::string> monitor_cgroups;
	std::string started_at; // RFC 3339
	std::vector<InterfaceState> interfaces;
	int halt_signal = 0;			// what `stop` will send, as detected
	std::optional<int> exit_status; // of the last init, as wait(2) gives it
	/** Last lines of /dev/console, written with STOPPED when init failed or lived less than a second. */
	std::string console_tail;
	bool failed = false; // init ended unasked, with a failure or within a second
};

std::string write_state(const State &state);
/** Unknown keys are ignored: the file may come from a monitor of another version (the one compatibility promise). */
std::optional<State> parse_state(std::string_view json);

/** Writes state.json by rename and appends {"time","state",…} to events.jsonl. run_dir is open, the container's own.
 * On the way down (STOPPING, ABORTING, STOPPED) a failure is only logged: a full directory keeps nothing running. */
void publish_state(int run_dir_fd, const State &state);

struct Observation {
	State state; // as written, corrected by what is alive
	bool monitor_alive = false;
	bool init_alive = false;
	bool crashed = false; // monitor gone without having said STOPPED: the next lock holder cleans up
};
/** Reads state.json, asks monitor.lock by F_GETLK and checks pid and start time. Takes no lock; an absent run directory is STOPPED. */
Observation observe(const std::string &run_dir);

/** Takes monitor.lock (POSIX record lock) for the life of the process, an exec included as long as the descriptor that is returned stays
 * open. Open once, close never. Throws SysError "busy". */
int hold_monitor_lock(int run_dir_fd);

} // namespace tslxc
