#include "watch.hpp"

#include <poll.h>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

namespace {
// A missing library or a bad argument ends an init within a few; a first start must not feel it.
constexpr int first_moments_ms = 20;
constexpr int patience_ms = 5'000;

bool ends_within(pid_t pid, int timeout_ms) {
	const Fd process(sys::pidfd_open(pid, 0));
	pollfd watched{process.get(), POLLIN, 0};
	return !process || TEMP_FAILURE_RETRY(::poll(&watched, 1, timeout_ms)) > 0;
}

/** What its monitor says of it once the end hooks have run, or once it runs again: a reboot. */
Observation await_word(const std::string &run_dir, pid_t init) {
	Observation seen = observe(run_dir);
	for (int waited_ms = 0; waited_ms < patience_ms; waited_ms += 2) {
		if (seen.state.state == RunState::stopped || (seen.init_alive && seen.state.init_pid != init)) {
			break;
		}
		::poll(nullptr, 0, 2);
		seen = observe(run_dir);
	}
	return seen;
}

ErrorInfo ended(const std::string &name, const State &state) {
	ErrorInfo out;
	out.message = cat("cannot start '", name, "': ", last_words(state));
	out.hint = cat("watch it by 'tslxc start -F ", name, "'");
	return out;
}
} // namespace

bool has_run_well(const std::string &run_dir, std::string_view plan) {
	const State last = observe(run_dir).state;
	return last.exit_status && !last.failed && read_file_if_present(run_dir + "/spec.json") == plan;
}

void watch_first_moments(const Invocation &invocation, const std::string &name, pid_t init) {
	if (!ends_within(init, first_moments_ms)) {
		return;
	}
	const Observation seen = await_word(invocation.paths.run_dir(name), init);
	const std::string words = seen.state.state == RunState::stopped ? last_words(seen.state) : "";
	if (!words.empty() && *seen.state.exit_status == 0) {
		say(invocation, cat("'", name, "' was started; ", words)); // a command that has done its work
	} else if (!words.empty()) {
		throw SysError(ended(name, seen.state));
	}
}

int report_ended(const Invocation &invocation) {
	int code = 0;
	for (const std::string &name : invocation.names) {
		const State state = observe(invocation.paths.run_dir(name)).state;
		if (state.state == RunState::stopped && state.exit_status.value_or(0) != 0 && !last_words(state).empty()) {
			code = report(invocation, ended(name, state));
		}
	}
	return code;
}

} // namespace tslxc
