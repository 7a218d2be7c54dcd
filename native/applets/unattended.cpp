#include "unattended.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../container/cleanup.hpp"
#include "../kernel/cgroup.hpp"
#include "../monitor/client.hpp"
#include "../spec/locks.hpp"

namespace tslxc {

namespace {
bool ends_within(int process, int timeout_ms) {
	pollfd watched{process, POLLIN, 0};
	return TEMP_FAILURE_RETRY(::poll(&watched, 1, timeout_ms)) > 0;
}

void send_signal(int process, int number) {
	::syscall(SYS_pidfd_send_signal, process, number, nullptr, 0);
}

/** True when init is gone. */
bool ask_init(const Unattended &work, const State &state) {
	const Fd init = open_process(state.init_pid, state.init_start_time);
	if (!init) {
		return true;
	}
	// A frozen process sees no signal.
	thaw(state.cgroups);
	send_signal(init.get(), state.halt_signal != 0 ? state.halt_signal : detect_halt_signal(state.init_pid));
	return work.wait && ends_within(init.get(), work.timeout_ms);
}

void kill_monitor(const std::string &run_dir, const std::string &name, pid_t monitor) {
	const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, monitor, 0)));
	// Asked again once the pidfd is open: it then is the holder of monitor.lock that is meant.
	const Observation again = observe(run_dir);
	if (!process || !again.monitor_alive || again.state.monitor_pid != monitor) {
		return;
	}
	send_signal(process.get(), SIGKILL);
	if (!ends_within(process.get(), 5000)) {
		throw_error("timeout", cat("cannot stop '", name, "': its monitor (pid ", monitor, ") does not die"));
	}
}
} // namespace

bool monitor_hangs(const Observation &seen) {
	const auto stat = seen.monitor_alive ? read_file_if_present(cat("/proc/", seen.state.monitor_pid, "/stat")) : std::nullopt;
	const std::size_t bracket = stat ? stat->rfind(')') : std::string::npos;
	const char state = bracket != std::string::npos && bracket + 2 < stat->size() ? (*stat)[bracket + 2] : '?';
	return state == 'T' || state == 't';
}

void end_unattended(const Unattended &work) {
	const std::string run_dir = work.paths.run_dir(work.name);
	Observation seen = observe(run_dir);
	if (!work.kill && seen.init_alive) {
		const bool ended = ask_init(work, seen.state);
		if (!work.wait) {
			return;
		}
		if (!ended && !work.may_kill) {
			throw_error("timeout", cat("cannot stop '", work.name, "': it still runs after ", work.timeout_ms / 1000, " s"),
						cat("run 'tslxc stop -k ", work.name, "'"));
		}
	}
	// Before the lock: one that was stopped while it started has inherited it.
	if (seen.monitor_alive && seen.state.state != RunState::stopped) {
		kill_monitor(run_dir, work.name, seen.state.monitor_pid);
	}
	Fd lock;
	if (work.take_lock) {
		lock = lock_container(work.paths.lock_file(work.name), work.name, work.command, work.lock_timeout_ms);
	}
	// A start that was under way has seen its monitor die, and cleaned up itself.
	seen = observe(run_dir);
	if (seen.crashed) {
		clean_up_crashed(work.paths, work.name, seen);
	}
}

} // namespace tslxc
