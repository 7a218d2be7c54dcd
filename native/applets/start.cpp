#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../container/cleanup.hpp"
#include "../monitor/monitor.hpp"
#include "../spec/locks.hpp"
#include "../spec/message.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"
#include "node.hpp"
#include "specs.hpp"
#include "watch.hpp"

namespace tslxc {

namespace {
constexpr const char *share_flags[] = {"share-net", "share-ipc", "share-uts", "share-pid"};

struct Plan {
	Spec spec;
	std::string text;	 // as it goes into the run directory
	std::string seccomp; // content of the filter file, empty: none
};

std::vector<std::string> compile_options(const Invocation &invocation) {
	std::vector<std::string> out;
	if (const auto file = invocation.value("rcfile")) {
		char *resolved = ::realpath(file->c_str(), nullptr);
		out.insert(out.end(), {"--rcfile", resolved == nullptr ? *file : resolved});
		std::free(resolved);
	}
	for (const std::string &definition : invocation.values("define")) {
		out.insert(out.end(), {"-s", definition});
	}
	for (const char *flag : share_flags) {
		if (const auto value = invocation.value(flag)) {
			out.insert(out.end(), {cat("--", flag), *value});
		}
	}
	return out;
}

/** What this start is made by: the container's own spec, or one for this start alone where options change it. */
Plan make_plan(const Invocation &invocation, const std::string &name) {
	Plan plan;
	const auto options = compile_options(invocation);
	if (options.empty()) {
		plan.text = up_to_date_spec(invocation.paths, name);
		plan.spec = parse_spec(plan.text);
		if (!plan.spec.security.seccomp_filter.empty()) {
			plan.seccomp = spec_companion(invocation.paths.container_dir(name), plan.spec.security.seccomp_filter);
		}
	} else {
		CompiledSpec compiled = compile_once(invocation.paths, name, options);
		plan.text = std::move(compiled.spec);
		plan.seccomp = std::move(compiled.seccomp);
		plan.spec = parse_spec(plan.text);
	}
	if (!invocation.rest.empty()) {
		plan.spec.init.argv = invocation.rest;
		plan.text = write_spec(plan.spec);
	}
	return plan;
}

/** The plan in force stays where it was when the container's own is compiled anew. */
void put_in_force(const std::string &run_dir, const Plan &plan) {
	make_dirs(run_dir, 0700);
	write_file_atomic(run_dir + "/spec.json", plan.text, 0600);
	if (!plan.spec.security.seccomp_filter.empty()) {
		write_file_atomic(cat(run_dir, '/', plan.spec.security.seccomp_filter), plan.seccomp, 0600);
	}
}

/** A monitor that has said STOPPED ends within moments. */
void await_end_of_monitor(const std::string &run_dir, const std::string &name) {
	for (int waited_ms = 0; waited_ms < 10'000; waited_ms += 10) {
		if (!observe(run_dir).monitor_alive) {
			return;
		}
		::poll(nullptr, 0, 10);
	}
	throw_error("busy", cat("cannot start '", name, "': its last monitor does not end"), cat("run 'tslxc stop -k ", name, "'"));
}

std::string started_json(const std::string &name, RunState state, long pid) {
	JsonWriter out('{');
	out.field("name", name);
	out.field("state", state_name(state));
	out.raw("pid", cat(pid));
	return out.done();
}

/** True when there is nothing left to do. Else the way is free, what a crash left is gone. */
bool runs_already(const Invocation &invocation, const std::string &name, std::string &json) {
	const std::string run_dir = invocation.paths.run_dir(name);
	const Observation seen = observe(run_dir);
	if (seen.crashed) {
		clean_up_crashed(invocation.paths, name, seen);
		return false;
	}
	if (seen.state.state == RunState::stopped) {
		if (seen.monitor_alive) {
			await_end_of_monitor(run_dir, name);
		}
		return false;
	}
	// LXC's scripts rely on exit code 0 here.
	say(invocation, cat("cannot start '", name, "': it is already running"));
	json = started_json(name, seen.state.state, seen.state.init_pid);
	return true;
}

void close_standard_streams() {
	const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3 && null >= 0; fd++) {
		::dup2(null, fd);
	}
}

/** Descriptors that the caller happened to leave open must not live on with the container. */
void close_inherited(int start_pipe, int lock) {
	const int low = std::min(start_pipe, lock);
	const int high = std::max(start_pipe, lock);
	const auto close_between = [](int first, int last) {
		if (first <= last) {
			::syscall(SYS_close_range, static_cast<unsigned>(first), static_cast<unsigned>(last), 0u);
		}
	};
	close_between(3, low - 1);
	close_between(low + 1, high - 1);
	::syscall(SYS_close_range, static_cast<unsigned>(high + 1), ~0u, 0u);
}

pid_t fork_monitor(MonitorRequest request) {
	const pid_t pid = ::fork();
	if (pid < 0) {
		throw_errno("fork", cat("cannot start '", request.spec.name, "'"));
	}
	if (pid > 0) {
		return pid;
	}
	// The reader of the start pipe may be gone: that is no reason to die with a half-made container.
	::signal(SIGPIPE, SIG_IGN);
	if (!request.foreground) {
		::setsid();
		close_standard_streams();
	}
	// The log's file is among them; the monitor opens its own, request.spec.log_file.
	log::set_file("none");
	close_inherited(request.start_pipe.get(), request.lock.get());
	run_monitor(std::move(request));
}

/** Reads the one line; what comes instead of it when the monitor was killed is an error of its own. */
Reply await_start(int start_pipe, const std::string &name) {
	const std::string line = read_all(start_pipe, "the start pipe");
	if (line.empty()) {
		Reply reply;
		reply.error.message = cat("cannot start '", name, "': its monitor died");
		return reply;
	}
	return parse_reply(line);
}

volatile pid_t foreground_monitor = 0;

void forward_signal(int number) {
	::kill(foreground_monitor, number);
}

/** The monitor stands for the container: what ends us is told to it. */
int await_foreground(pid_t monitor) {
	foreground_monitor = monitor;
	for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT}) {
		::signal(number, forward_signal);
	}
	return wait_for(monitor);
}

MonitorRequest make_request(const Invocation &invocation, const Plan &plan, int lock, int start_pipe) {
	MonitorRequest request;
	request.spec = plan.spec;
	request.paths = invocation.paths;
	request.foreground = invocation.has("foreground");
	request.lock = Fd(::fcntl(lock, F_DUPFD_CLOEXEC, 3));
	request.start_pipe = Fd(::fcntl(start_pipe, F_DUPFD_CLOEXEC, 3));
	const auto path_of = [&invocation](const char *flag) {
		const std::string path = invocation.value(flag).value_or("");
		// The monitor changes its directory.
		return path.empty() || path[0] == '/' || path == "none" ? path : cat(read_link("/proc/self/cwd"), '/', path);
	};
	request.pid_file = path_of("pidfile");
	request.console_path = path_of("console");
	request.console_log = path_of("console-log");
	if (invocation.has("logfile")) {
		request.spec.log_file = path_of("logfile");
	}
	request.spec.log_level = invocation.value("logpriority").value_or(plan.spec.log_level);
	return request;
}

int start_one(const Invocation &invocation, const std::string &name, std::string &json) {
	if (!invocation.has("rcfile")) {
		require_defined(invocation, name);
	}
	Fd lock = lock_container(invocation.paths.lock_file(name), name, "tslxc start", invocation.lock_timeout_ms);
	if (runs_already(invocation, name, json)) {
		return 0;
	}
	const Plan plan = make_plan(invocation, name);
	const bool proven = has_run_well(invocation.paths.run_dir(name), plan.text);
	put_in_force(invocation.paths.run_dir(name), plan);
	int ends[2];
	if (::pipe2(ends, O_CLOEXEC) < 0) {
		throw_errno("pipe", cat("cannot start '", name, "'"));
	}
	const Fd reader(ends[0]);
	Fd writer(ends[1]);
	const pid_t monitor = fork_monitor(make_request(invocation, plan, lock.get(), writer.get()));
	writer.reset();
	Reply reply = await_start(reader.get(), name);
	if (!reply.ok) {
		const Observation left = observe(invocation.paths.run_dir(name));
		if (left.crashed) {
			clean_up_crashed(invocation.paths, name, left);
		}
		reply.error.message += console_lines(reply.console);
		throw SysError(reply.error);
	}
	lock.reset();
	if (!proven && !invocation.has("foreground") && invocation.names.size() == 1) {
		watch_first_moments(invocation, name, static_cast<pid_t>(reply.pid));
	}
	json = started_json(name, RunState::running, reply.pid);
	return invocation.has("foreground") ? await_foreground(monitor) : 0;
}

void check_options(const Invocation &invocation) {
	const bool several = invocation.names.size() > 1;
	for (const char *flag : {"foreground", "pidfile", "console", "console-log", "rcfile"}) {
		if (several && invocation.has(flag)) {
			throw_error("usage", cat("option '--", flag, "' is for one container only"));
		}
	}
	if (invocation.has("foreground") && invocation.has("daemon")) {
		throw_error("usage", "options '--foreground' and '--daemon' exclude each other");
	}
}
} // namespace

int start_applet(const Invocation &invocation) {
	check_options(invocation);
	if (invocation.names.size() > 1 && compile_options(invocation).empty()) {
		refresh_specs(invocation.paths, invocation.names);
	}
	const int code = for_each_name(invocation, start_one);
	return invocation.names.size() > 1 && !invocation.json ? std::max(code, report_ended(invocation)) : code;
}

} // namespace tslxc
