#include "life.hpp"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../base/time.hpp"
#include "../container/devices.hpp"
#include "../container/hooks.hpp"
#include "../container/mounts.hpp"
#include "../container/network.hpp"
#include "memory.hpp"

namespace tslxc {

namespace {

Fd watch_signals() {
	sigset_t wanted;
	::sigemptyset(&wanted);
	for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH}) {
		::sigaddset(&wanted, number);
	}
	::sigprocmask(SIG_BLOCK, &wanted, nullptr);
	::signal(SIGPIPE, SIG_IGN);
	::signal(SIGTTOU, SIG_IGN);
	Fd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
	if (!fd) {
		throw_errno("monitor", "cannot watch signals");
	}
	return fd;
}

} // namespace

Life::Life(MonitorRequest request)
	: name_(request.spec.name), paths_(request.paths), spec_(std::make_unique<Spec>(std::move(request.spec))),
	  request_(std::move(request)) {
	if (!request_.console_path.empty()) {
		spec_->console.path = request_.console_path;
	}
	if (!request_.console_log.empty()) {
		spec_->console.log_file = request_.console_log;
	}
	console_plan_ = spec_->console;
	log_file_ = spec_->log_file;
	log_level_ = spec_->log_level;
}

int Life::run() {
	try {
		if (start()) {
			settle();
			if (!request_.foreground && early_death_.empty()) {
				execute_for_waiting();
			}
			loop();
		}
	} catch (const SysError &error) {
		fail_start(error.info());
	} catch (const std::exception &error) {
		ErrorInfo info;
		info.code = "internal";
		info.message = error.what();
		fail_start(info);
	}
	return exit_code_;
}

int Life::wait() {
	set_process_title(cat("[tslxc monitor] ", paths_.lxcpath, ' ', name_));
	signals_ = watch_signals();
	loop();
	return exit_code_;
}

/** A full /run must not end a container: the state is then late, and the log says so. */
void Life::publish(RunState state) {
	state_.state = state;
	log::info("state", state_name(state));
	try {
		publish_state(run_dir_.get(), state_);
	} catch (const SysError &error) {
		log::warn("state", error.info().message);
	}
}

/** A monitor that has just said STOPPED holds its lock a moment longer. */
void Life::take_monitor_lock() {
	for (int tries = 0;; ++tries) {
		try {
			lock_fd_ = hold_monitor_lock(run_dir_.get());
			return;
		} catch (const SysError &error) {
			if (error.info().code != "busy" || tries == 2000) {
				throw;
			}
			::poll(nullptr, 0, 1);
		}
	}
}

bool Life::start() {
	const std::string run_dir = paths_.run_dir(name_);
	make_dirs(run_dir, 0700);
	run_dir_ = open_or_throw(run_dir, O_RDONLY | O_DIRECTORY);
	take_monitor_lock();
	signals_ = watch_signals();
	// Before the first state: who sees STARTING may connect, and is answered when the loop begins.
	listener_ = listen_in(run_dir_.get(), "monitor.sock");
	state_.monitor_pid = ::getpid();
	publish(RunState::starting);
	if (!request_.pid_file.empty()) {
		write_file_atomic(request_.pid_file, cat(::getpid(), '\n'));
	}
	console_.configure(spec_->console);
	halt_signal_ = spec_->init.halt_signal;
	reboot_signal_ = spec_->init.reboot_signal;
	stop_signal_ = spec_->init.stop_signal;
	ephemeral_ = spec_->ephemeral;
	has_end_hooks_ = has_hooks(*spec_, "stop") || has_hooks(*spec_, "post-stop") ||
					 std::ranges::any_of(spec_->network, [](const InterfacePlan &plan) { return !plan.scripts_down.empty(); });
	HookContext hooks;
	hooks.rootfs_mount = rootfs_mount_point(*spec_, paths_.run_base);
	hooks.console = spec_->console.path;
	run_hooks(*spec_, "pre-start", hooks);
	prepare_cgroups();
	if (request_.foreground) {
		console_.show_on_terminal();
	}
	launch_init(*spec_, "");
	if (!died_at_once()) {
		tell_starter(cat(R"({"ok":true,"pid":)", launched_.pid, "}\n"));
	}
	return true;
}

void Life::prepare_cgroups() {
	cgroups_ = create_cgroups(*spec_);
	state_.cgroups = cgroups_.payload;
	state_.monitor_cgroups = cgroups_.monitor;
	if (!spec_->devices.empty()) {
		apply_devices(cgroups_, spec_->devices);
	}
	apply_limits(cgroups_, *spec_);
	const auto [uid, gid] = guest_root(*spec_);
	delegate_cgroups(cgroups_, uid, gid);
}

void Life::launch_init(const Spec &spec, const std::string &oom_score) {
	launched_ = launch({spec, paths_, cgroups_, oom_score});
	launched_at_ = Clock::now();
	console_.attach(std::move(launched_.console));
	state_.init_pid = launched_.pid;
	state_.init_start_time = launched_.start_time;
	state_.interfaces = launched_.interfaces;
	state_.halt_signal = halt_signal_.value_or(0);
	state_.started_at = utc_time();
	state_.exit_status.reset();
	state_.console_tail.clear();
	state_.failed = false;
	publish(RunState::running);
	phase_ = Phase::running;
	rebooting_ = false;
	stop_signal_sent_ = false;
}

/** An init that is gone by now never was a start: its end is told to the starting command when all is taken down. A real init gets one
 * look, which costs a system call; a command in its place gets up to 30 ms, or until it has slept for a while. */
bool Life::died_at_once() {
	pollfd watched{launched_.pidfd.get(), POLLIN, 0};
	int asleep = 0;
	for (int round = request_.foreground || runs_an_init(*spec_) ? 14 : 0; round < 15 && asleep < 3; ++round) {
		if (::poll(&watched, 1, round == 14 ? 0 : 2) > 0) {
			break;
		}
		const auto stat = read_file_if_present(cat("/proc/", launched_.pid, "/stat"));
		asleep = stat && stat->find(") S ") != std::string::npos ? asleep + 1 : 0;
	}
	siginfo_t info{};
	if (::waitid(P_PIDFD, static_cast<id_t>(launched_.pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) {
		return false;
	}
	const bool by_signal = info.si_code != CLD_EXITED;
	const bool on_purpose = by_signal ? info.si_status == SIGINT || info.si_status == SIGHUP : info.si_status == 0; // halt, reboot
	if (on_purpose || request_.foreground) {
		return false;
	}
	early_death_ = cat("init '", spec_->init.argv.empty() ? "" : spec_->init.argv[0], "' ended at once with ",
					   by_signal ? "signal " : "exit code ", info.si_status);
	return true;
}

void Life::tell_starter(const std::string &line) {
	if (request_.start_pipe) {
		[[maybe_unused]] const ssize_t ignored = ::write(request_.start_pipe.get(), line.data(), line.size());
		request_.start_pipe.reset();
	}
	request_.lock.reset();
}

void Life::tell_failure(ErrorInfo error) {
	error.message = cat("cannot start '", name_, "': ", error.message);
	log::write(log::Level::error, error.step.empty() ? "start" : error.step, error.message);
	std::string line = write_failure(error);
	line.pop_back();
	tell_starter(cat(line, state_.console_tail.empty() ? "" : cat(R"(,"console":)", json_quote(state_.console_tail)), "}\n"));
}

/** What can wait until the starting command has its answer. */
void Life::settle() {
	if (const auto score = read_file_if_present("/proc/self/oom_score_adj")) {
		hook_oom_score_ = trim(*score);
	}
	set_process_title(cat("[tslxc monitor] ", paths_.lxcpath, ' ', name_));
	spec_.reset();
	request_.spec = {};
	try {
		enter_cgroups(cgroups_.monitor, 0);
		write_file("/proc/self/oom_score_adj", "-1000");
	} catch (const SysError &error) {
		log::info("monitor", error.info().message); // without CAP_SYS_RESOURCE: we run all the same
	}
}

/** Takes back what the start made. Everything is tried; the first error is the one that is told. */
void Life::fail_start(ErrorInfo error) {
	console_.drain();
	console_.leave_terminal();
	state_.console_tail = console_.tail();
	try {
		if (launched_.pidfd) {
			kill_all(cgroups_.payload, 5'000);
		}
		if (spec_) {
			run_down_scripts(*spec_, state_.interfaces);
		}
		remove_cgroups(cgroups_.payload);
		remove_own_cgroups();
		if (run_dir_ && state_.monitor_pid != 0) {
			::unlinkat(run_dir_.get(), "monitor.sock", 0);
			state_.init_pid = 0;
			state_.init_start_time = 0;
			state_.cgroups.clear();
			state_.monitor_cgroups.clear();
			state_.interfaces.clear();
			publish(RunState::stopped);
		}
	} catch (const std::exception &late) {
		log::warn("monitor", late.what());
	}
	tell_failure(std::move(error));
	exit_code_ = 1;
}

int Life::poll_timeout() const {
	std::optional<Clock::time_point> next = kill_at_;
	for (const Client &client : clients_) {
		if (client.deadline && (!next || *client.deadline < *next)) {
			next = client.deadline;
		}
	}
	if (!next) {
		return -1;
	}
	const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*next - Clock::now()).count();
	return static_cast<int>(std::clamp<long long>(left + 1, 0, 1 << 30));
}

void Life::read_signals() {
	signalfd_siginfo info{};
	while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
		if (info.ssi_signo == SIGWINCH) {
			console_.resize();
		} else if (!stop_wanted_ && phase_ == Phase::running) {
			// The host goes down, or someone ends us by hand: the guest gets its minute.
			stop_wanted_ = true;
			signal_init(halt_signal_.value_or(0));
			kill_at_ = Clock::now() + std::chrono::seconds(60);
		}
	}
}

void Life::loop() {
	while (phase_ != Phase::over) {
		try {
			wait_and_act();
		} catch (const std::exception &error) {
			// The guest outlives what goes wrong here; not at full speed, should it go wrong again.
			log::write(log::Level::error, "monitor", error.what());
			::poll(nullptr, 0, 100);
		}
	}
}

/** A monitor waits for days: before the first long wait, and a second after each event, it gives back what it does not need to wait. */
int Life::wait_for(std::vector<pollfd> &watched) {
	constexpr int soon_ms = 1000;
	const int timeout_ms = poll_timeout();
	if (busy_) {
		const int ready = ::poll(watched.data(), watched.size(), timeout_ms < 0 ? soon_ms : std::min(timeout_ms, soon_ms));
		busy_ = ready != 0;
		if (ready != 0 || timeout_ms >= 0) {
			return ready;
		}
	}
	shrink_memory();
	const int ready = ::poll(watched.data(), watched.size(), timeout_ms);
	busy_ = ready > 0;
	return ready;
}

void Life::wait_and_act() {
	std::vector<pollfd> watched;
	watched.push_back({phase_ == Phase::running ? launched_.pidfd.get() : hooks_.get(), POLLIN, 0});
	watched.push_back({signals_.get(), POLLIN, 0});
	watched.push_back({listener_.get(), POLLIN, 0});
	console_.add_to_poll(watched);
	const std::size_t first_client = watched.size();
	for (const Client &client : clients_) {
		watched.push_back({client.socket.get(), POLLIN, 0});
	}
	if (wait_for(watched) <= 0) {
		check_deadlines();
		return;
	}
	console_.handle(&watched[3]);
	for (std::size_t i = first_client; i < watched.size(); ++i) {
		if (watched[i].revents != 0) {
			serve(clients_[i - first_client]);
		}
	}
	std::erase_if(clients_, [](const Client &client) { return !client.socket; });
	if (watched[2].revents != 0) {
		accept_client();
	}
	if (watched[1].revents != 0) {
		read_signals();
	}
	check_deadlines();
	if (watched[0].revents != 0) {
		if (phase_ == Phase::running) {
			init_ended();
		} else {
			hooks_ended();
		}
	}
}

} // namespace tslxc
