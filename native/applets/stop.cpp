#include <signal.h>

#include <cstring>

#include "../base/json.hpp"
#include "../base/text.hpp"
#include "../monitor/client.hpp"
#include "../spec/locks.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"
#include "unattended.hpp"

namespace tslxc {

namespace {
struct StopOptions {
	bool kill = false, reboot = false, wait = true, may_kill = true, take_lock = true;
	int timeout_s = 60; // negative: for ever
};

StopOptions read_options(const Invocation &invocation) {
	StopOptions out;
	out.kill = invocation.has("kill");
	out.reboot = invocation.has("reboot");
	out.wait = !invocation.has("nowait");
	out.may_kill = !invocation.has("nokill");
	out.take_lock = !invocation.has("nolock");
	const auto timeout = invocation.number("timeout", -1);
	for (const char *flag : {"reboot", "timeout", "nokill"}) {
		if (out.kill && invocation.has(flag)) {
			throw_error("usage", cat("options '--kill' and '--", flag, "' exclude each other"));
		}
	}
	if (!out.kill && !out.take_lock) {
		throw_error("usage", "option '--nolock' is only for '--kill'");
	}
	out.timeout_s = static_cast<int>(timeout.value_or(60));
	return out;
}

std::string signal_name(int number) {
	if (number >= SIGRTMIN && number <= SIGRTMAX) {
		return cat("SIGRTMIN+", number - SIGRTMIN);
	}
	const char *name = ::sigabbrev_np(number);
	return name == nullptr ? cat("signal ", number) : cat("SIG", name);
}

int timeout_ms(const StopOptions &options) {
	return options.timeout_s < 0 ? -1 : options.timeout_s * 1000;
}

void announce(const Invocation &invocation, const std::string &name, const StopOptions &options, int signal) {
	std::string line = cat("sending ", signal_name(signal), " to '", name, "'");
	if (options.wait && options.timeout_s >= 0) {
		line += cat(", waiting up to ", options.timeout_s, " s", options.may_kill ? ", then killing it" : "");
	} else if (options.wait) {
		line += ", waiting until it has stopped";
	}
	say(invocation, cat(line, "; 'tslxc stop -k ", name, "' kills it at once"));
}

void stop_by_monitor(const Invocation &invocation, const std::string &name, const StopOptions &options, const State &state) {
	const std::string run_dir = invocation.paths.run_dir(name);
	if (options.reboot) {
		say(invocation,
			cat("rebooting '", name, "'", options.wait && options.timeout_s >= 0 ? cat(", waiting up to ", options.timeout_s, " s") : ""));
		request_reboot(run_dir, options.wait ? timeout_ms(options) : 0);
		return;
	}
	StopRequest request;
	request.kill = options.kill;
	request.wait = options.wait;
	request.kill_after_timeout = options.may_kill;
	request.timeout_ms = timeout_ms(options);
	if (!options.kill) {
		request.signal = state.halt_signal != 0 ? state.halt_signal : detect_halt_signal(state.init_pid);
		announce(invocation, name, options, *request.signal);
	}
	request_stop(run_dir, request);
}

void stop_unattended(const Invocation &invocation, const std::string &name, const StopOptions &options, const Observation &seen) {
	const bool dead = seen.crashed;
	if (options.reboot) {
		throw_error("state", cat("cannot reboot '", name, "': its monitor does not answer"), cat("run 'tslxc stop -k ", name, "'"));
	}
	Unattended work{invocation.paths, name, "tslxc stop", invocation.lock_timeout_ms};
	work.take_lock = options.take_lock;
	work.kill = options.kill;
	work.may_kill = options.may_kill;
	work.wait = options.wait;
	work.timeout_ms = timeout_ms(options);
	say(invocation, cat("the monitor of '", name, dead ? "' has died: cleaning up" : "' does not answer: stopping it without"));
	if (!options.kill && seen.init_alive) {
		announce(invocation, name, options, seen.state.halt_signal != 0 ? seen.state.halt_signal : detect_halt_signal(seen.state.init_pid));
	}
	end_unattended(work);
}

std::string stopped_json(const Invocation &invocation, const std::string &name) {
	JsonWriter out('{');
	out.field("name", name);
	out.field("state", state_name(observe(invocation.paths.run_dir(name)).state.state));
	return out.done();
}

/** False: nobody answers. */
bool try_monitor(const Invocation &invocation, const std::string &name, const StopOptions &options, const State &state) {
	try {
		stop_by_monitor(invocation, name, options, state);
		return true;
	} catch (const SysError &error) {
		if (error.info().code != "no-monitor") {
			throw;
		}
		return false;
	}
}

/** A monitor that is still starting listens to nobody: the start holds the lock until it is done. */
Observation await_start(const Invocation &invocation, const std::string &name, Observation seen) {
	if (seen.state.state != RunState::starting || seen.crashed || monitor_hangs(seen)) {
		return seen;
	}
	lock_container(invocation.paths.lock_file(name), name, "tslxc stop", invocation.lock_timeout_ms);
	return observe(invocation.paths.run_dir(name));
}

int stop_one(const Invocation &invocation, const std::string &name, std::string &json) {
	const StopOptions options = read_options(invocation);
	Observation seen = observe(invocation.paths.run_dir(name));
	if (!options.kill) {
		seen = await_start(invocation, name, std::move(seen));
	}
	if (seen.state.state == RunState::stopped && !seen.crashed) {
		require_defined(invocation, name);
		throw_not_running(invocation, name, seen.state, 2);
	}
	if (seen.crashed || monitor_hangs(seen) || !try_monitor(invocation, name, options, seen.state)) {
		stop_unattended(invocation, name, options, seen);
	}
	if (invocation.json) {
		json = stopped_json(invocation, name);
	}
	return 0;
}
} // namespace

int stop_applet(const Invocation &invocation) {
	read_options(invocation);
	return for_each_name(invocation, stop_one);
}

} // namespace tslxc
