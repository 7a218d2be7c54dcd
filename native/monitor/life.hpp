// A container's life as its monitor sees it: start, requests, the end or another start.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../container/launch.hpp"
#include "../kernel/cgroup.hpp"
#include "../spec/paths.hpp"
#include "../spec/spec.hpp"
#include "../spec/state.hpp"
#include "console.hpp"
#include "monitor.hpp"
#include "requests.hpp"

namespace tslxc {

using Clock = std::chrono::steady_clock;

struct Client {
	Fd socket;
	/** What its request waits for; replies go out when that happens. */
	enum class Wait { nothing, stopped, running } wait = Wait::nothing;
	std::optional<Clock::time_point> deadline;
	bool kill_after = false;
	std::optional<int> tty; // what it holds
};

class Life {
public:
	explicit Life(MonitorRequest request);
	/** Goes on behind execute_for_waiting. */
	explicit Life(int handed_over);
	const std::string &name() const { return name_; }
	const std::string &log_file() const { return log_file_; }
	const std::string &log_level() const { return log_level_; }
	/** To STOPPED, of a container that runs. */
	int wait();
	/** From STARTING to STOPPED. What init ended with, as a shell has it; 1 when the start failed. */
	int run();

private:
	// life.cpp: the start and the loop
	bool start();
	void prepare_cgroups();
	void launch_init(const Spec &spec, const std::string &oom_score);
	void settle();
	void execute_for_waiting();
	void tell_starter(const std::string &line);
	void fail_start(ErrorInfo error);
	void tell_failure(ErrorInfo error);
	bool died_at_once();
	void loop();
	void wait_and_act();
	int wait_for(std::vector<pollfd> &watched);
	void take_monitor_lock();
	void publish(RunState state);
	int poll_timeout() const;
	void read_signals();

	// end.cpp: the end of an init
	void init_ended();
	void run_end_hooks(const char *point, bool with_scripts);
	[[noreturn]] void end_hooks(const char *point, bool with_scripts) const;
	void hooks_ended();
	void finish_stop();
	void launch_again();
	void remove_own_cgroups();
	void note_exit(int status);
	Spec spec_in_force() const;

	// serve.cpp: requests
	void accept_client();
	void serve(Client &client);
	void handle(Client &client, const MonitorCommand &command);
	void handle_stop(Client &client, const MonitorCommand &command);
	void handle_reboot(Client &client, const MonitorCommand &command);
	void handle_freeze(const MonitorCommand &command);
	void handle_unfreeze();
	void handle_console(Client &client, const MonitorCommand &command);
	void handle_console_log(Client &client, const MonitorCommand &command);
	void handle_device(const MonitorCommand &command);
	void release(Client &client);
	void answer_waiting(Client::Wait wait, const std::string &reply);
	void check_deadlines();
	void signal_init(int number);
	void thaw_if_frozen();
	void kill_init();
	void require_running(const char *verb) const;

	std::string name_;
	Paths paths_;
	std::unique_ptr<Spec> spec_; // until RUNNING
	MonitorRequest request_;
	std::string hook_oom_score_, log_file_, log_level_;
	ConsolePlan console_plan_;
	int lock_fd_ = -1; // monitor.lock, never closed
	Fd run_dir_, signals_, listener_;
	State state_;
	ContainerCgroups cgroups_;
	Launched launched_;
	Console console_;
	std::vector<Client> clients_;
	std::optional<std::vector<DeviceRule>> devices_; // in force; absent: those of the spec
	std::optional<int> halt_signal_;
	int reboot_signal_ = 0, stop_signal_ = 0;
	bool stop_signal_sent_ = false;
	bool ephemeral_ = false;
	bool has_end_hooks_ = false;

	enum class Phase { running, stop_hooks, post_stop_hooks, over } phase_ = Phase::running;
	Fd hooks_; // pidfd of the process that runs the end's hooks
	pid_t hooks_pid_ = 0;
	bool rebooting_ = false, stop_wanted_ = false;
	std::optional<Clock::time_point> kill_at_; // of a stop that no client waits for
	Clock::time_point launched_at_;
	bool busy_ = false;		  // something has happened since memory was given back
	std::string early_death_; // reason, until the starting command was told
	int exit_code_ = 1;
};

} // namespace tslxc
