#include "client.hpp"

#include <climits>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../base/time.hpp"
#include "requests.hpp"

namespace tslxc {

namespace {

Fd connect_to_monitor(const std::string &run_dir) {
	const Fd dir(::open(run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
	try {
		if (dir) {
			return connect_in(dir.get(), "monitor.sock");
		}
	} catch (const SysError &error) {
		if (error.info().error_number == EACCES || error.info().error_number == EPERM) {
			throw;
		}
	}
	throw_error("no-monitor", "cannot ask the container's monitor: it does not answer", "run 'tslxc stop -k NAME' to clean up");
}

struct Answer {
	int tty = 0;
	std::vector<Fd> fds;
};

/** Stopped by a signal or a debugger: such a monitor will never answer. The peer of a connected socket is who listened. unix(7) */
bool is_stopped(int socket) {
	const auto stat = read_file_if_present(cat("/proc/", peer_of(socket).pid, "/stat"));
	const std::size_t bracket = stat ? stat->rfind(')') : std::string::npos;
	return bracket != std::string::npos && stat->find_first_of("Tt", bracket) == bracket + 2;
}

/** patience_ms bounds the wait for the answer; negative: for ever, as long as the monitor is not stopped. */
Answer ask(int socket, const MonitorCommand &command, int patience_ms) {
	constexpr int look_every_ms = 1000;
	send_packet(socket, write_command(command));
	const long long end = monotonic_ms() + patience_ms;
	for (pollfd watched{socket, POLLIN, 0}; TEMP_FAILURE_RETRY(::poll(&watched, 1, look_every_ms)) == 0;) {
		if (is_stopped(socket) || (patience_ms >= 0 && monotonic_ms() >= end)) {
			throw_error("no-monitor", "cannot ask the container's monitor: it does not answer");
		}
	}
	auto packet = receive_packet(socket);
	if (!packet) {
		throw_error("no-monitor", "cannot ask the container's monitor: it went away");
	}
	return {parse_monitor_reply(packet->text), std::move(packet->fds)};
}

/** What the monitor and its hooks need besides the time that the request itself allows. */
constexpr int grace_ms = 30'000;

int patience_for(int timeout_ms) {
	return timeout_ms < 0 || timeout_ms > INT_MAX - grace_ms ? -1 : timeout_ms + grace_ms;
}

Answer ask_once(const std::string &run_dir, const MonitorCommand &command, int patience_ms = grace_ms) {
	const Fd socket = connect_to_monitor(run_dir);
	return ask(socket.get(), command, patience_ms);
}

/** A signal set of /proc/PID/status. proc_pid_status(5) */
unsigned long long signal_set(const std::string &status, const char *key) {
	const auto at = status.find(key);
	return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + std::char_traits<char>::length(key), nullptr, 16);
}

} // namespace

int detect_halt_signal(pid_t init) {
	const auto status = read_file_if_present(cat("/proc/", init, "/status"));
	const int shutdown_signal = SIGRTMIN + 3; // systemd(1), SIGNALS
	const unsigned long long bit = 1ULL << (shutdown_signal - 1);
	if (status && ((signal_set(*status, "SigBlk:") | signal_set(*status, "SigCgt:")) & bit) != 0) {
		return shutdown_signal;
	}
	return SIGPWR;
}

void request_stop(const std::string &run_dir, const StopRequest &request) {
	MonitorCommand command;
	command.op = MonitorCommand::Op::stop;
	command.signal = request.signal;
	command.timeout_ms = request.timeout_ms;
	command.kill = request.kill;
	command.kill_after = request.kill_after_timeout;
	command.wait = request.wait;
	ask_once(run_dir, command, patience_for(request.timeout_ms));
}

void request_reboot(const std::string &run_dir, int timeout_ms) {
	MonitorCommand command;
	command.op = MonitorCommand::Op::reboot;
	command.timeout_ms = timeout_ms;
	ask_once(run_dir, command, patience_for(timeout_ms));
}

void request_freeze(const std::string &run_dir, int timeout_ms) {
	MonitorCommand command;
	command.op = MonitorCommand::Op::freeze;
	command.timeout_ms = timeout_ms;
	ask_once(run_dir, command, patience_for(timeout_ms));
}

void request_unfreeze(const std::string &run_dir) {
	MonitorCommand command;
	command.op = MonitorCommand::Op::unfreeze;
	ask_once(run_dir, command);
}

ConsoleGrant request_console(const std::string &run_dir, int tty) {
	MonitorCommand command;
	command.op = MonitorCommand::Op::console;
	if (tty >= 0) {
		command.tty = tty;
	}
	ConsoleGrant grant;
	grant.session = connect_to_monitor(run_dir);
	Answer answer = ask(grant.session.get(), command, grace_ms);
	if (answer.fds.empty()) {
		throw_error("native", "cannot read the monitor's answer: the terminal is missing");
	}
	grant.tty = answer.tty;
	grant.terminal = std::move(answer.fds[0]);
	grant.screen = answer.fds.size() > 1 ? std::move(answer.fds[1]) : Fd(::fcntl(grant.terminal.get(), F_DUPFD_CLOEXEC, 3));
	return grant;
}

} // namespace tslxc
