#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "../base/json.hpp"
#include "../base/text.hpp"
#include "../base/time.hpp"
#include "../spec/follow.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"

namespace tslxc {

namespace {
std::vector<RunState> read_states(const Invocation &invocation) {
	const auto flag = invocation.value("state");
	if (!flag && invocation.rest.empty()) {
		throw_error("usage", cat("cannot wait for '", invocation.name(), "': no state was given"),
					cat("run 'tslxc wait ", invocation.name(), " -s RUNNING'"));
	}
	std::vector<RunState> out;
	for (const std::string &word : split(flag ? *flag : invocation.rest[0], '|')) {
		const auto state = parse_state_name(word);
		if (!state) {
			throw_error("usage", cat("cannot wait for '", invocation.name(), "': there is no state '", word, "'"),
						"one of STOPPED STARTING RUNNING STOPPING ABORTING FREEZING FROZEN THAWED");
		}
		out.push_back(*state);
	}
	return out;
}

int finish(const Invocation &invocation, RunState state) {
	if (invocation.json) {
		JsonWriter out('{');
		out.field("name", invocation.name());
		out.field("state", state_name(state));
		print(out.done() + '\n');
	}
	return 0;
}

/** Nothing: the time is over. */
std::optional<RunState> await_state(const std::string &run_dir, const std::vector<RunState> &wanted, int timeout_s) {
	const auto reached = [&wanted](RunState state) { return std::find(wanted.begin(), wanted.end(), state) != wanted.end(); };
	const long long end = monotonic_ms() + timeout_s * 1000LL;
	// Opened before the look: what happens after it is in the events.
	EventFollower follower(run_dir);
	for (;;) {
		// A monitor that dies writes no event: its end is watched, and looked into.
		const Observation seen = observe(run_dir);
		const Fd monitor(seen.monitor_alive ? static_cast<int>(::syscall(SYS_pidfd_open, seen.state.monitor_pid, 0)) : -1);
		if (reached(seen.state.state)) {
			return seen.state.state;
		}
		while (const auto state =
				   follower.next(timeout_s < 0 ? -1 : static_cast<int>(std::max(0LL, end - monotonic_ms())), monitor.get())) {
			if (reached(*state)) {
				return *state;
			}
			if (*state == RunState::starting) {
				break;
			}
		}
		if (timeout_s >= 0 && monotonic_ms() >= end) {
			return std::nullopt;
		}
	}
}
} // namespace

int wait_applet(const Invocation &invocation) {
	const auto wanted = read_states(invocation);
	const int timeout_s = static_cast<int>(invocation.number("timeout", -1).value_or(-1));
	const std::string run_dir = invocation.paths.run_dir(invocation.name());
	const RunState now = observe(run_dir).state.state;
	if (std::find(wanted.begin(), wanted.end(), now) != wanted.end()) {
		return finish(invocation, now);
	}
	const auto reached = timeout_s == 0 ? std::nullopt : await_state(run_dir, wanted, timeout_s);
	if (reached) {
		return finish(invocation, *reached);
	}
	throw_error("timeout", cat("cannot wait for '", invocation.name(), "': it is ", state_name(observe(run_dir).state.state)));
}

} // namespace tslxc
