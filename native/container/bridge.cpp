// The loop between a terminal and a pty.
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "../base/error.hpp"
#include "pty.hpp"

namespace tslxc {

namespace {

/** Bytes on their way, in a fixed area; what does not fit is not read. */
class Buffer {
public:
	bool empty() const { return begin_ == end_; }
	bool full() const { return end_ == bytes_.size(); }
	/** False at end of file or on an error other than "nothing yet". */
	bool fill(int fd, std::string_view *added = nullptr) {
		auto count = ::read(fd, bytes_.data() + end_, bytes_.size() - end_);
		if (count <= 0) {
			return count < 0 && (errno == EAGAIN || errno == EINTR);
		}
		if (added != nullptr) {
			*added = {bytes_.data() + end_, static_cast<std::size_t>(count)};
		}
		end_ += static_cast<std::size_t>(count);
		return true;
	}
	/** False when the other end is gone. */
	bool drain(int fd) {
		auto count = ::write(fd, bytes_.data() + begin_, end_ - begin_);
		if (count < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		begin_ += static_cast<std::size_t>(count);
		if (begin_ == end_) {
			clear();
		}
		return true;
	}
	void push(char byte) {
		if (!full()) {
			bytes_[end_++] = byte;
		}
	}
	void clear() { begin_ = end_ = 0; }

private:
	std::array<char, 32 * 1024> bytes_;
	std::size_t begin_ = 0, end_ = 0;
};

enum Slot { signals, keyboard, master, screen, process, session, slots };

class Loop {
public:
	explicit Loop(const Bridge &bridge) : bridge_(bridge) {
		auto set = bridge_signals();
		signal_fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
		if (!signal_fd_) {
			throw_errno("terminal", "cannot wait for signals");
		}
	}
	BridgeEnd run() {
		while (!end_) {
			auto polls = wanted();
			int count = ::poll(polls.data(), polls.size(), timeout());
			if (count == 0) {
				idle();
			} else if (count > 0) {
				step(polls);
			}
		}
		return *end_;
	}

private:
	std::array<pollfd, slots> wanted() const {
		bool reads_keyboard =
			bridge_.keyboard >= 0 && !keyboard_closed_ && to_guest_.empty() && (bridge_.mode == nullptr || bridge_.mode->raw());
		short for_master = static_cast<short>((!to_screen_.full() ? POLLIN : 0) | (!to_guest_.empty() ? POLLOUT : 0));
		return {{
			{signal_fd_.get(), POLLIN, 0},
			{reads_keyboard ? bridge_.keyboard : -1, POLLIN, 0},
			{for_master == 0 || master_closed_ ? -1 : bridge_.master, for_master, 0},
			{to_screen_.empty() ? -1 : bridge_.screen, POLLOUT, 0},
			{process_gone_ ? -1 : bridge_.process, POLLIN, 0},
			{bridge_.session, POLLIN, 0},
		}};
	}
	int timeout() const {
		if (process_gone_) {
			return 200; // other processes may still hold the pty: its end of file can't be waited for
		}
		return bridge_.mode != nullptr && bridge_.keyboard >= 0 && !bridge_.mode->raw() ? 500 : -1;
	}
	void idle() {
		if (process_gone_) {
			end_ = {BridgeEnd::Why::closed, 0};
		} else {
			bridge_.mode->enter(); // `fg` of a running job sends no signal
		}
	}
	void step(const std::array<pollfd, slots> &polls) {
		if (polls[signals].revents != 0) {
			take_signal();
		}
		if (polls[keyboard].revents != 0) {
			take_keys();
		}
		if ((polls[master].revents & POLLOUT) != 0 && !to_guest_.drain(bridge_.master)) {
			to_guest_.clear();
		}
		if ((polls[master].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !to_screen_.full()) {
			take_output();
		}
		if (polls[screen].revents != 0 && !to_screen_.drain(bridge_.screen)) {
			to_screen_.clear(); // the terminal is gone; SIGHUP follows where there is one
		}
		process_gone_ = process_gone_ || polls[process].revents != 0;
		if (polls[session].revents != 0 && to_screen_.empty()) {
			master_closed_ = true;
		}
		if (master_closed_ && to_screen_.empty() && !end_) {
			end_ = {BridgeEnd::Why::closed, 0};
		}
	}
	void take_output() {
		std::string_view added;
		if (!to_screen_.fill(bridge_.master, &added)) {
			master_closed_ = true; // EIO: every slave is closed. pty(7)
		} else if (bridge_.log >= 0 && !added.empty()) {
			[[maybe_unused]] auto ignored = ::write(bridge_.log, added.data(), added.size());
		}
	}
	void take_keys() {
		if (bridge_.escape < 0) {
			keyboard_closed_ = !to_guest_.fill(bridge_.keyboard);
			return;
		}
		std::array<char, 512> typed;
		auto count = ::read(bridge_.keyboard, typed.data(), typed.size());
		if (count <= 0) {
			keyboard_closed_ = count == 0 || (errno != EAGAIN && errno != EINTR);
			return;
		}
		for (ssize_t i = 0; i < count && !end_; i++) {
			take_key(typed[static_cast<std::size_t>(i)]);
		}
	}
	void take_key(char key) {
		bool is_escape = static_cast<unsigned char>(key) == bridge_.escape;
		if (!escaped_) {
			escaped_ = is_escape;
			if (!is_escape) {
				to_guest_.push(key);
			}
			return;
		}
		escaped_ = false;
		if (key == 'q') {
			end_ = {BridgeEnd::Why::detached, 0};
			to_guest_.drain(bridge_.master); // typed before the prefix
			return;
		}
		to_guest_.push(static_cast<char>(bridge_.escape));
		if (!is_escape) {
			to_guest_.push(key);
		}
	}
	void take_signal() {
		signalfd_siginfo info{};
		if (::read(signal_fd_.get(), &info, sizeof info) != sizeof info) {
			return;
		}
		auto number = static_cast<int>(info.ssi_signo);
		bool raw = bridge_.mode != nullptr && bridge_.mode->raw();
		if (number == SIGWINCH) {
			copy_window_size(bridge_.window, bridge_.follower >= 0 ? bridge_.follower : bridge_.master);
		} else if (number == SIGCONT) {
			resume();
		} else if (number == SIGTSTP) {
			stop();
		} else if ((number == SIGINT || number == SIGQUIT) && !raw && info.ssi_code == SI_KERNEL) {
			to_guest_.push(number == SIGINT ? '\x03' : '\x1c');
		} else if (number != SIGCHLD) {
			end_ = {BridgeEnd::Why::signalled, number};
		}
	}
	void stop() {
		if (bridge_.mode != nullptr) {
			bridge_.mode->restore();
		}
		::kill(::getpid(), SIGSTOP);
		resume();
	}
	void resume() {
		if (bridge_.mode != nullptr && bridge_.keyboard >= 0) {
			bridge_.mode->enter();
		}
		copy_window_size(bridge_.window, bridge_.follower >= 0 ? bridge_.follower : bridge_.master);
	}

	const Bridge &bridge_;
	Fd signal_fd_;
	Buffer to_guest_, to_screen_;
	bool keyboard_closed_ = false, master_closed_ = false, process_gone_ = false, escaped_ = false;
	std::optional<BridgeEnd> end_;
};

} // namespace

sigset_t bridge_signals() {
	sigset_t set;
	::sigemptyset(&set);
	for (int number : {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGCHLD}) {
		::sigaddset(&set, number);
	}
	return set;
}

BridgeEnd run_bridge(const Bridge &bridge) {
	return Loop(bridge).run();
}

} // namespace tslxc
