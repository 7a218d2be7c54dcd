// Terminals: raw mode that is always given back, a pty made inside a container, and the loop that joins a terminal with a pty.
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <optional>
#include <string>

#include "../base/fd.hpp"

namespace tslxc {

/** Puts a terminal into raw mode and back: on destruction, and around a stop by job control. */
class RawTerminal {
public:
	/** Saves the modes, changes nothing yet. `fd` stays the caller's. */
	explicit RawTerminal(int fd);
	~RawTerminal() { restore(); }
	RawTerminal(const RawTerminal &) = delete;
	RawTerminal &operator=(const RawTerminal &) = delete;
	/** Does nothing while the process is in the background: it would be stopped by SIGTTOU. True: the terminal is raw. */
	bool enter();
	void restore();
	bool raw() const { return raw_; }
	const termios &original() const { return original_; }

private:
	int fd_;
	bool raw_ = false;
	termios original_{};
};

struct Pty {
	Fd master, slave;
};
/** A pty of the devpts at /dev/pts as the caller sees it, checked to be one, with the size and the control characters of the outer
 * terminal. `plain_output` leaves the translation of newlines to that. The master is non-blocking. Throws SysError. */
Pty open_pty(const termios &outer, const winsize &size, bool plain_output);
/** A second open file description of a terminal, so that O_NONBLOCK does not reach whoever shares the first. The same one duplicated,
 *  and blocking, where the terminal belongs to another user. */
Fd reopen_terminal(int fd, int flags);
void copy_window_size(int from_fd, int to_fd);

struct Bridge {
	int keyboard = -1; // −1: nothing is read from the terminal
	int screen = -1;
	int master = -1;
	int process = -1;  // a pidfd: the loop ends when it is gone and the master is drained. −1: at the master's end
	int session = -1;  // a socket: the loop ends at its end of file
	int log = -1;	   // gets what the screen gets
	int escape = -1;   // this byte, then `q` detaches, twice sends it once
	int window = -1;   // whose size is followed at SIGWINCH
	int follower = -1; // what follows it; −1: the master
	RawTerminal *mode = nullptr;
};
struct BridgeEnd {
	enum class Why { closed, detached, signalled } why = Why::closed;
	int signal = 0;
};
/** The signals the loop takes; to be blocked before. SIGINT, SIGQUIT typed at a terminal that is not raw go to the pty as characters. */
sigset_t bridge_signals();
/** Joins terminal and pty with back-pressure both ways: nothing is read that could not be written, nothing is dropped. */
BridgeEnd run_bridge(const Bridge &bridge);

} // namespace tslxc
