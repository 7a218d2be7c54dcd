#include "attach.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../kernel/clone_vm.hpp"
#include "../kernel/syscalls.hpp"
#include "pty.hpp"

namespace tslxc {

namespace {

[[noreturn]] void throw_gone(const AttachRequest &request) {
	throw_error("not-running", cat("cannot attach to '", request.name, "': it is not running"),
				cat("run 'tslxc start ", request.name, "'"));
}

AttachTerminal look_at_streams() {
	AttachTerminal terminal;
	for (int fd = 2; fd >= 0; fd--) {
		termios modes{};
		terminal.stream[fd] = ::tcgetattr(fd, &modes) == 0;
		if (terminal.stream[fd]) {
			terminal.modes = modes;
			::ioctl(fd, TIOCGWINSZ, &terminal.size);
		}
	}
	return terminal;
}

/** What the environment says must not show in the guest's /proc/PID/environ between clone and exec. */
void wipe_environment() {
	for (char **entry = environ; entry != nullptr && *entry != nullptr; entry++) {
		std::memset(*entry, 0, std::strlen(*entry));
	}
}

std::string working_directory() {
	std::array<char, PATH_MAX> path;
	return ::getcwd(path.data(), path.size()) != nullptr && path[0] == '/' ? path.data() : "/";
}

/** Without a terminal: what is sent to this process is for the command. */
sigset_t forwarded_signals() {
	sigset_t set;
	::sigemptyset(&set);
	for (int number : {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT}) {
		::sigaddset(&set, number);
	}
	return set;
}

struct Entrance {
	CgroupEntries v1;
	Fd v2;
};

Entrance open_cgroups(const AttachRequest &request) {
	if (request.keep_cgroup) {
		return {};
	}
	// Where init is now, not where it began: a guest's systemd moves itself and enables controllers above. A second look if it just did.
	for (int attempt = 0;; attempt++) {
		try {
			auto dirs = cgroups_below(request.state.cgroups, request.state.init_pid);
			return {open_v1_entries(dirs), open_v2_cgroup(dirs)};
		} catch (const SysError &error) {
			if (error.info().error_number != ENOENT || attempt == 3) {
				throw;
			}
		}
	}
}

/** Memory for the command's pid that the envoy reaches also when it is a copy of this process. */
class SharedPid {
public:
	SharedPid() : pid_(static_cast<pid_t *>(::mmap(nullptr, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
		if (pid_ == MAP_FAILED) {
			throw_errno("attach", "cannot get memory");
		}
	}
	~SharedPid() { ::munmap(pid_, sizeof(pid_t)); }
	SharedPid(const SharedPid &) = delete;
	SharedPid &operator=(const SharedPid &) = delete;
	pid_t *get() const { return pid_; }

private:
	pid_t *pid_;
};

using Entry = void (*)(const AttachChild &);

/** `entry` must not return. */
template <Entry entry> pid_t clone_child(const AttachRequest &request, const Fd &v2, AttachChild &inside) {
	clone_args arguments{};
	arguments.exit_signal = SIGCHLD;
	if (v2) {
		arguments.flags = CLONE_INTO_CGROUP;
		arguments.cgroup = static_cast<std::uint64_t>(v2.get());
	}
	auto run = [](void *child) { entry(*static_cast<AttachChild *>(child)); };
	pid_t child = 0;
	if ((request.namespaces & CLONE_NEWTIME) == 0) {
		child = sys::clone_vm(&arguments, run, &inside);
	} else if ((child = sys::clone3(&arguments)) == 0) {
		run(&inside); // who shares memory may not enter a time namespace: EUSERS. time_namespaces(7)
	}
	if (child < 0 && errno == ENOMEM) {
		throw_gone(request); // no process can be made in a pid namespace without init. pid_namespaces(7)
	}
	if (child < 0) {
		throw_errno("attach", cat("cannot make a process in '", request.name, "'"));
	}
	return child;
}

/** The command's process; 0 and an exit code when it was reported why there is none. */
pid_t make_command(const AttachRequest &request, const Fd &v2, AttachChild &inside, int &code) {
	if (!request.spec.unprivileged()) {
		code = wait_for(clone_child<run_attach_envoy>(request, v2, inside));
		return code == 0 ? *inside.pid : 0;
	}
	if ((request.namespaces & CLONE_NEWPID) != 0 && ::setns(inside.init, CLONE_NEWPID) != 0) {
		throw_errno("attach", cat("cannot enter the pid namespace of '", request.name, "'"));
	}
	return clone_child<run_attach_command>(request, v2, inside);
}

void send_to_group(pid_t child, int number) {
	if (::kill(-child, number) != 0) {
		::kill(child, number); // it has not yet made its session
	}
}

void forward(pid_t child, const siginfo_t &info) {
	if (info.si_signo == SIGTSTP) {
		send_to_group(child, SIGSTOP); // SIGTSTP would be ignored: the group is an orphan in its namespace
		::kill(::getpid(), SIGSTOP);
	} else if (info.si_signo == SIGCONT || info.si_code == SI_KERNEL) {
		send_to_group(child, info.si_signo); // as the terminal would
	} else {
		::kill(child, info.si_signo);
	}
}

int exit_code_of(int status) {
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int follow_signals(pid_t child) {
	auto set = forwarded_signals();
	for (;;) {
		// First: a signal that came while a terminal was served is already taken.
		int status = 0;
		if (::waitpid(child, &status, WNOHANG) == child) {
			return exit_code_of(status);
		}
		siginfo_t info{};
		if (::sigwaitinfo(&set, &info) > 0 && info.si_signo != SIGCHLD) {
			forward(child, info);
		}
	}
}

int follow_terminal(const AttachRequest &request, const AttachTerminal &terminal, pid_t child, const Fd &socket) {
	auto packet = receive_packet(socket.get());
	if (!packet || packet->fds.empty()) {
		return wait_for(child); // it has said why
	}
	Fd master = std::move(packet->fds.front());
	int seen = terminal.stream[1] ? 1 : terminal.stream[2] ? 2 : 0;
	Fd process(sys::pidfd_open(child, 0));
	Fd screen = reopen_terminal(seen, O_WRONLY);
	Fd keyboard;
	std::optional<RawTerminal> mode;
	if (terminal.stream[0]) {
		keyboard = reopen_terminal(0, O_RDONLY);
		mode.emplace(0);
		mode->enter();
	}
	Bridge bridge;
	bridge.keyboard = keyboard.get();
	bridge.screen = screen.get();
	bridge.master = master.get();
	bridge.process = process.get();
	bridge.log = request.pty_log.get();
	bridge.window = seen;
	bridge.mode = mode ? &*mode : nullptr;
	auto end = run_bridge(bridge);
	mode.reset();
	if (end.why == BridgeEnd::Why::signalled) {
		sys::pidfd_send_signal(process.get(), end.signal);
		return 128 + end.signal; // closing the master hangs up on the rest
	}
	return follow_signals(child);
}

} // namespace

int container_namespaces(const Spec &spec) {
	struct Name {
		const char *name;
		int flag;
	};
	constexpr std::array names = {Name{"mount", CLONE_NEWNS}, Name{"net", CLONE_NEWNET}, Name{"ipc", CLONE_NEWIPC},
								  Name{"uts", CLONE_NEWUTS},  Name{"pid", CLONE_NEWPID}, Name{"cgroup", CLONE_NEWCGROUP},
								  Name{"time", CLONE_NEWTIME}};
	// The user namespace of the caller can't be entered again: EINVAL. setns(2)
	int flags = spec.unprivileged() ? CLONE_NEWUSER : 0;
	for (const auto &one : names) {
		if (spec.creates(one.name) || spec.join_namespaces.contains(one.name)) {
			flags |= one.flag;
		}
	}
	return flags;
}

int attach(const AttachRequest &request) {
	auto terminal = look_at_streams();
	Fd init = open_process(request.state.init_pid, request.state.init_start_time);
	if (!init) {
		throw_gone(request);
	}
	auto entrance = open_cgroups(request);
	std::pair<Fd, Fd> sockets;
	if (terminal.any()) {
		sockets = packet_pair();
	}
	auto cwd = working_directory();
	sigset_t before;
	SharedPid pid;
	AttachChild inside{request, terminal, entrance.v1, init.get(), sockets.second.get(), before, cwd, pid.get()};
	::prctl(PR_SET_DUMPABLE, 0);
	wipe_environment();
	::signal(SIGCHLD, SIG_DFL);
	auto block = terminal.any() ? bridge_signals() : forwarded_signals();
	::sigprocmask(SIG_BLOCK, &block, &before);
	int code = 0;
	pid_t child = make_command(request, entrance.v2, inside, code);
	if (child == 0) {
		return code;
	}
	sockets.second.reset();
	return terminal.any() ? follow_terminal(request, terminal, child, sockets.first) : follow_signals(child);
}

} // namespace tslxc
