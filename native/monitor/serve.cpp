// Requests at monitor.sock. Nothing here waits for a client: sockets are non-blocking, replies that must wait are kept with the client.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>

#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../kernel/syscalls.hpp"
#include "client.hpp"
#include "life.hpp"

namespace tslxc {

namespace {

constexpr std::size_t max_clients = 64;
constexpr int default_stop_ms = 60'000;

void reply(Client &client, const std::string &text, const std::vector<int> &fds = {}) {
	try {
		send_packet(client.socket.get(), text, fds);
	} catch (const SysError &) {
		client.socket.reset(); // gone, or does not read
	}
}

std::optional<Clock::time_point> deadline_after(int ms) {
	return ms < 0 ? std::nullopt : std::optional(Clock::now() + std::chrono::milliseconds(ms));
}

} // namespace

void Life::accept_client() {
	Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
	if (!socket) {
		return;
	}
	Client client;
	client.socket = std::move(socket);
	const Peer peer = peer_of(client.socket.get());
	ErrorInfo refusal;
	if (peer.uid != 0 && peer.uid != ::geteuid()) {
		refusal.code = "permission";
		refusal.message = cat("cannot ask the monitor of '", name_, "': you are neither root nor its owner");
	} else if (clients_.size() >= max_clients) {
		refusal.code = "busy";
		refusal.message = cat("cannot ask the monitor of '", name_, "': ", max_clients, " others do");
	} else {
		clients_.push_back(std::move(client));
		return;
	}
	reply(client, write_failure(refusal));
}

void Life::serve(Client &client) {
	try {
		const auto packet = receive_packet(client.socket.get());
		if (!packet) {
			release(client);
			return;
		}
		handle(client, parse_command(packet->text));
	} catch (const SysError &error) {
		if (error.info().error_number == EAGAIN) {
			return;
		}
		reply(client, write_failure(error.info()));
		if (error.info().code == "malformed") {
			release(client);
		}
	}
}

/** A client that went away gives its tty back; a stop that it waited for goes on without a time limit. */
void Life::release(Client &client) {
	if (client.tty == 0) {
		console_.close_client();
	}
	client = Client();
}

void Life::require_running(const char *verb) const {
	if (phase_ != Phase::running) {
		throw_error("not-running", cat("cannot ", verb, " '", name_, "': it is stopping"));
	}
}

void Life::handle(Client &client, const MonitorCommand &command) {
	switch (command.op) {
	case MonitorCommand::Op::stop:
		return handle_stop(client, command);
	case MonitorCommand::Op::reboot:
		return handle_reboot(client, command);
	case MonitorCommand::Op::freeze:
		handle_freeze(command);
		return reply(client, write_ok());
	case MonitorCommand::Op::unfreeze:
		handle_unfreeze();
		return reply(client, write_ok());
	case MonitorCommand::Op::console:
		return handle_console(client, command);
	case MonitorCommand::Op::console_log:
		return handle_console_log(client, command);
	case MonitorCommand::Op::device:
		handle_device(command);
		return reply(client, write_ok());
	}
}

void Life::thaw_if_frozen() {
	if (state_.state == RunState::frozen || state_.state == RunState::freezing) {
		thaw(cgroups_.payload);
		publish(RunState::thawed);
		publish(RunState::running);
	}
}

/** 0: the halt signal as it is detected now. systemd has set its handlers by the time someone wants to stop it. */
void Life::signal_init(int number) {
	sys::pidfd_send_signal(launched_.pidfd.get(), number > 0 ? number : detect_halt_signal(launched_.pid));
	thaw_if_frozen();
}

/** The pid namespace dies with its init. A frozen process of cgroup v1 dies only when it is thawed.
 *  Another signal.stop than SIGKILL can be ignored: the second time, or some seconds later, it is SIGKILL. */
void Life::kill_init() {
	const bool is_last = stop_signal_sent_ || stop_signal_ == 0;
	sys::pidfd_send_signal(launched_.pidfd.get(), is_last ? SIGKILL : stop_signal_);
	stop_signal_sent_ = true;
	if (!is_last && stop_signal_ != SIGKILL) {
		kill_at_ = Clock::now() + std::chrono::seconds(5);
	}
	if (state_.state == RunState::frozen || state_.state == RunState::freezing) {
		thaw(cgroups_.payload);
	}
}

void Life::handle_stop(Client &client, const MonitorCommand &command) {
	stop_wanted_ = true;
	client.wait = Client::Wait::stopped;
	if (phase_ != Phase::running) {
		return;
	}
	if (command.kill) {
		kill_init();
		return;
	}
	signal_init(command.signal.value_or(halt_signal_.value_or(0)));
	if (!command.wait) {
		client.wait = Client::Wait::nothing;
		reply(client, write_ok());
		return;
	}
	client.deadline = deadline_after(command.timeout_ms.value_or(default_stop_ms));
	client.kill_after = command.kill_after;
}

void Life::handle_reboot(Client &client, const MonitorCommand &command) {
	require_running("reboot");
	signal_init(reboot_signal_ > 0 ? reboot_signal_ : SIGINT);
	if (command.timeout_ms.value_or(default_stop_ms) == 0) {
		reply(client, write_ok());
		return;
	}
	client.wait = Client::Wait::running;
	client.deadline = deadline_after(command.timeout_ms.value_or(default_stop_ms));
	client.kill_after = false;
}

void Life::check_deadlines() {
	const auto now = Clock::now();
	bool kill = kill_at_ && *kill_at_ <= now;
	for (Client &client : clients_) {
		if (!client.deadline || *client.deadline > now) {
			continue;
		}
		client.deadline.reset();
		if (client.kill_after) {
			kill = true;
			continue;
		}
		ErrorInfo late;
		late.code = "timeout";
		late.message = client.wait == Client::Wait::stopped
						   ? cat("cannot stop '", name_, "': it still runs after the time given")
						   : cat("cannot reboot '", name_, "': it does not run again after the time given");
		late.hint = cat("run 'tslxc stop -k ", name_, "'");
		client.wait = Client::Wait::nothing;
		reply(client, write_failure(late));
		stop_wanted_ = false;
	}
	if (kill && phase_ == Phase::running) {
		kill_at_.reset();
		kill_init(); // may set it again
	}
}

void Life::answer_waiting(Client::Wait wait, const std::string &text) {
	for (Client &client : clients_) {
		if (client.socket && client.wait == wait) {
			client.wait = Client::Wait::nothing;
			client.deadline.reset();
			reply(client, text);
		}
	}
}

void Life::handle_freeze(const MonitorCommand &command) {
	require_running("freeze");
	if (state_.state == RunState::frozen) {
		return;
	}
	publish(RunState::freezing);
	try {
		freeze(cgroups_.payload, command.timeout_ms.value_or(10'000));
	} catch (const SysError &) {
		publish(RunState::running);
		throw;
	}
	publish(RunState::frozen);
}

void Life::handle_unfreeze() {
	require_running("unfreeze");
	if (state_.state == RunState::running) {
		thaw(cgroups_.payload); // frozen behind our back: asked for is asked for
		return;
	}
	thaw_if_frozen();
}

void Life::handle_console(Client &client, const MonitorCommand &command) {
	require_running("open a console of");
	const auto taken = [this](int tty) {
		return std::ranges::any_of(clients_, [tty](const Client &other) { return other.socket && other.tty == tty; });
	};
	if (command.tty == 0) {
		if (!console_.present()) {
			throw_error("not-found", cat("cannot open /dev/console of '", name_, "': it has none"),
						"set console.path in its configuration");
		}
		if (taken(0)) {
			throw_error("busy", cat("cannot open /dev/console of '", name_, "': someone else has it open"));
		}
		const auto [stream, screen] = console_.open_client();
		client.tty = 0;
		reply(client, write_console_granted(0), {stream.get(), screen.get()});
		return;
	}
	const int count = static_cast<int>(launched_.ttys.size());
	int tty = command.tty.value_or(1);
	while (!command.tty && tty <= count && taken(tty)) {
		++tty;
	}
	if (command.tty.value_or(1) > count) {
		throw_error("not-found", cat("cannot open tty ", tty, " of '", name_, "': it has ", count), "raise tty.max in its configuration");
	}
	if (tty > count || taken(tty)) {
		throw_error("busy", cat("cannot open ", command.tty ? cat("tty ", tty) : "a tty", " of '", name_, "': someone else has it open"));
	}
	client.tty = tty;
	reply(client, write_console_granted(tty), {launched_.ttys[static_cast<std::size_t>(tty - 1)].get()});
}

void Life::handle_console_log(Client &client, const MonitorCommand &command) {
	const std::string text = console_.ring(command.max_bytes);
	Fd file(::memfd_create("console-log", MFD_CLOEXEC));
	if (!file) {
		throw_errno("console", "cannot make a memory file");
	}
	write_all(file.get(), text, "the console's log");
	::lseek(file.get(), 0, SEEK_SET);
	if (command.clear) {
		console_.clear_ring();
	}
	reply(client, write_log_granted(text.size()), {file.get()});
}

void Life::handle_device(const MonitorCommand &command) {
	require_running("change the devices of");
	std::vector<DeviceRule> rules = devices_ ? *devices_ : spec_in_force().devices;
	rules.push_back(command.rule);
	apply_devices(cgroups_, rules);
	devices_ = std::move(rules);
}

} // namespace tslxc
