#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "../spec/follow.hpp"
#include "../spec/locks.hpp"
#include "../spec/state.hpp"
#include "check.hpp"
#include "scratch.hpp"

using namespace tslxc;

namespace {
State running_state() {
	State state;
	state.state = RunState::running;
	state.init_pid = ::getpid();
	state.init_start_time = process_start_time(::getpid()).value_or(0);
	state.monitor_pid = ::getpid();
	state.cgroups = {{"v2", "/does/not/exist"}, {"name=systemd", "/does/not/exist"}};
	state.monitor_cgroups = {{"v2", "/neither"}};
	state.started_at = "2026-01-01T00:00:00Z";
	state.interfaces = {{1, "veth", "eth0", "vethX", "00:16:3e:00:00:01", "br\"0"}};
	state.halt_signal = 30;
	return state;
}

/** A child that does something, says so, and then sleeps until it is killed. */
class Child {
public:
	template <typename F> explicit Child(F work) {
		auto [ours, theirs] = packet_pair();
		pid = ::fork();
		if (pid == 0) {
			work();
			send_packet(theirs.get(), "ready");
			::pause();
			::_exit(0);
		}
		receive_packet(ours.get(), 5000);
	}
	Child(const Child &) = delete;
	Child &operator=(const Child &) = delete;
	~Child() { end(); }
	void end() {
		if (pid > 0) {
			::kill(pid, SIGKILL);
			::waitpid(pid, nullptr, 0);
			pid = 0;
		}
	}
	pid_t pid = 0;
};
} // namespace

TEST(states_are_read_as_written) {
	State state = running_state();
	state.exit_status = 256;
	const auto again = parse_state(write_state(state));
	CHECK(again.has_value());
	CHECK_EQUAL(write_state(*again), write_state(state));
	CHECK_EQUAL(again->interfaces[0].link, "br\"0");
	CHECK_EQUAL(again->exit_status.value_or(0), 256);
	CHECK(!parse_state("") && !parse_state("[]") && !parse_state(R"({"state":"WAS"})"));
	CHECK(parse_state(R"({"version":7,"state":"FROZEN","more":{"a":[1]},"initPid":"text"})")->state == RunState::frozen);
}

TEST(a_container_that_never_ran_is_stopped) {
	const Observation seen = observe("/does/not/exist");
	CHECK(seen.state.state == RunState::stopped && !seen.crashed && !seen.monitor_alive);
}

TEST(a_living_monitor_is_seen_by_its_lock) {
	const testing::Scratch scratch;
	const Child monitor([&scratch] {
		const Fd dir = open_or_throw(scratch.path, O_PATH | O_DIRECTORY);
		hold_monitor_lock(dir.get());
		publish_state(dir.get(), running_state());
	});
	const Observation seen = observe(scratch.path);
	CHECK(seen.monitor_alive && !seen.crashed);
	CHECK_EQUAL(seen.state.monitor_pid, monitor.pid);
	CHECK(seen.state.state == RunState::running);
	const Fd dir = open_or_throw(scratch.path, O_PATH | O_DIRECTORY);
	CHECK_THROWS(hold_monitor_lock(dir.get()), "another monitor");
}

TEST(a_dead_monitor_is_a_crash) {
	const testing::Scratch scratch;
	Child monitor([&scratch] {
		const Fd dir = open_or_throw(scratch.path, O_PATH | O_DIRECTORY);
		hold_monitor_lock(dir.get());
		publish_state(dir.get(), running_state());
	});
	monitor.end();
	const Observation with_init = observe(scratch.path);
	CHECK(with_init.crashed && !with_init.monitor_alive);
	const Fd dir = open_or_throw(scratch.path, O_PATH | O_DIRECTORY);
	State state = running_state();
	state.init_start_time++;
	publish_state(dir.get(), state);
	const Observation without = observe(scratch.path);
	CHECK(without.crashed && !without.init_alive);
	CHECK_EQUAL(std::string(state_name(without.state.state)), "STOPPED");
	state.state = RunState::stopped;
	publish_state(dir.get(), state);
	CHECK(!observe(scratch.path).crashed);
}

TEST(no_transition_is_lost) {
	const testing::Scratch scratch;
	const std::string run_dir = scratch.path + "/a/web";
	EventFollower follower(run_dir);
	CHECK(!follower.next(0));
	make_dirs(run_dir, 0700);
	const Fd dir = open_or_throw(run_dir, O_PATH | O_DIRECTORY);
	State state;
	for (const RunState next : {RunState::starting, RunState::running, RunState::freezing, RunState::frozen}) {
		state.state = next;
		publish_state(dir.get(), state);
	}
	for (const RunState expected : {RunState::starting, RunState::running, RunState::freezing, RunState::frozen}) {
		const auto next = follower.next(2000);
		CHECK(next && *next == expected);
	}
	CHECK(!follower.next(0));
	EventFollower later(run_dir);
	::unlinkat(dir.get(), "events.jsonl", 0);
	state.state = RunState::stopped;
	publish_state(dir.get(), state);
	CHECK(follower.next(2000) == RunState::stopped);
	CHECK(later.next(2000) == RunState::stopped);
}

TEST(locks_name_their_holder) {
	const testing::Scratch scratch;
	const std::string file = scratch.path + "/locks/web";
	std::string holder;
	Fd lock = try_lock(file, "tslxc destroy", false, &holder);
	CHECK(static_cast<bool>(lock));
	CHECK(!try_lock(file, "tslxc start", false, &holder));
	CHECK(holder.ends_with(" tslxc destroy"));
	CHECK_THROWS(lock_container(file, "web", "tslxc start", 5), cat("'web' is locked by 'tslxc destroy' (pid ", ::getpid(), ", 0 s)"));
	lock.reset();
	const Fd shared = try_lock(file, "one", true, nullptr);
	CHECK(static_cast<bool>(try_lock(file, "two", true, nullptr)));
	CHECK(!try_lock(file, "three", false, nullptr));
}
