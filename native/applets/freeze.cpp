#include <signal.h>
#include <unistd.h>

#include <array>

#include "../base/json.hpp"
#include "../base/text.hpp"
#include "../monitor/client.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"

namespace tslxc {

namespace {
constexpr int freeze_timeout_ms = 10'000;

State require_running(const Invocation &invocation, const std::string &name) {
	const Observation seen = observe(invocation.paths.run_dir(name));
	if (seen.state.state == RunState::stopped) {
		require_defined(invocation, name);
		throw_not_running(invocation, name, seen.state);
	}
	return seen.state;
}

template <typename Request> void ask(const Invocation &invocation, const std::string &name, Request request) {
	try {
		request(invocation.paths.run_dir(name));
	} catch (const SysError &error) {
		if (error.info().code != "no-monitor") {
			throw;
		}
		throw_error("state", cat("cannot ", invocation.verb, " '", name, "': its monitor does not answer"),
					cat("run 'tslxc stop -k ", name, "'"));
	}
}

std::string state_json(const std::string &name, RunState state) {
	JsonWriter out('{');
	out.field("name", name);
	out.field("state", state_name(state));
	return out.done();
}

/** Says that it stands still and waits for the end of standard input, which comes however the one at its other end ended. */
void wait_for_end_of_input() {
	constexpr std::string_view word = "frozen\n";
	[[maybe_unused]] const ssize_t ignored = ::write(STDOUT_FILENO, word.data(), word.size());
	std::array<char, 4096> rest;
	ssize_t count = 0;
	do {
		count = ::read(STDIN_FILENO, rest.data(), rest.size());
	} while (count > 0 || (count < 0 && errno == EINTR));
}

int hold_one(const Invocation &invocation, const std::string &name) {
	const bool was_frozen = require_running(invocation, name).state == RunState::frozen;
	for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
		::signal(number, SIG_IGN);
	}
	if (!was_frozen) {
		ask(invocation, name, [](const std::string &run_dir) { request_freeze(run_dir, freeze_timeout_ms); });
	}
	wait_for_end_of_input();
	// It may have been stopped meanwhile, which thaws it.
	if (!was_frozen && observe(invocation.paths.run_dir(name)).state.state == RunState::frozen) {
		ask(invocation, name, request_unfreeze);
	}
	return 0;
}

int freeze_one(const Invocation &invocation, const std::string &name, std::string &json) {
	if (invocation.has("hold")) {
		json = state_json(name, RunState::running);
		return hold_one(invocation, name);
	}
	if (require_running(invocation, name).state != RunState::frozen) {
		ask(invocation, name, [](const std::string &run_dir) { request_freeze(run_dir, freeze_timeout_ms); });
	}
	json = state_json(name, RunState::frozen);
	return 0;
}

int unfreeze_one(const Invocation &invocation, const std::string &name, std::string &json) {
	if (require_running(invocation, name).state != RunState::running) {
		ask(invocation, name, request_unfreeze);
	}
	json = state_json(name, RunState::running);
	return 0;
}
} // namespace

int freeze_applet(const Invocation &invocation) {
	return for_each_name(invocation, freeze_one);
}

int unfreeze_applet(const Invocation &invocation) {
	return for_each_name(invocation, unfreeze_one);
}

} // namespace tslxc
