#include "pty.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

RawTerminal::RawTerminal(int fd) : fd_(fd) {
	if (::tcgetattr(fd_, &original_) != 0) {
		throw_errno("terminal", "cannot read the terminal's modes");
	}
}

bool RawTerminal::enter() {
	if (raw_ || ::tcgetpgrp(fd_) != ::getpgrp()) {
		return raw_;
	}
	termios modes = original_;
	::cfmakeraw(&modes);
	modes.c_cc[VMIN] = 1;
	modes.c_cc[VTIME] = 0;
	raw_ = ::tcsetattr(fd_, TCSADRAIN, &modes) == 0;
	return raw_;
}

void RawTerminal::restore() {
	if (!raw_) {
		return;
	}
	raw_ = false;
	// Also from the background: whoever is in front must not be left with raw modes.
	sigset_t block;
	sigset_t before;
	::sigemptyset(&block);
	::sigaddset(&block, SIGTTOU);
	::sigprocmask(SIG_BLOCK, &block, &before);
	::tcsetattr(fd_, TCSADRAIN, &original_);
	::sigprocmask(SIG_SETMASK, &before, nullptr);
}

namespace {

void dress(int slave, const termios &outer, const winsize &size, bool plain_output) {
	termios modes{};
	if (::tcgetattr(slave, &modes) == 0) {
		// Erase, interrupt and the like as the user has them; all else stays a fresh terminal's, whatever the outer one is set to.
		for (int i : {VINTR, VQUIT, VERASE, VKILL, VEOF, VSUSP, VSTART, VSTOP, VWERASE, VLNEXT, VREPRINT}) {
			modes.c_cc[i] = outer.c_cc[i];
		}
		modes.c_iflag |= outer.c_iflag & IUTF8;
		if (plain_output) {
			modes.c_oflag &= ~static_cast<tcflag_t>(OPOST);
		}
		::tcsetattr(slave, TCSANOW, &modes);
	}
	::ioctl(slave, TIOCSWINSZ, &size);
}

} // namespace

Pty open_pty(const termios &outer, const winsize &size, bool plain_output) {
	// The instance's own ptmx: /dev/ptmx may be a node or link of the guest's making.
	Fd master(::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
	if (!master) {
		throw_errno("terminal", "cannot open /dev/pts/ptmx in the container", errno, "mount a devpts at /dev/pts, or redirect the streams");
	}
	struct statfs info {};
	if (::fstatfs(master.get(), &info) != 0 || info.f_type != DEVPTS_SUPER_MAGIC) {
		throw_error("native", "cannot make a terminal: /dev/pts in the container is not a devpts", "redirect the streams");
	}
	int unlocked = 0;
	if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0) {
		throw_errno("terminal", "cannot unlock a terminal in the container");
	}
	// By descriptor, not by a path that the guest controls. Linux 4.13, ioctl_tty(2)
	Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (!slave) {
		throw_errno("terminal", "cannot open a terminal in the container");
	}
	dress(slave.get(), outer, size, plain_output);
	return {std::move(master), std::move(slave)};
}

Fd reopen_terminal(int fd, int flags) {
	Fd own(::open(cat("/proc/self/fd/", fd).c_str(), flags | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
	return own ? std::move(own) : Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

void copy_window_size(int from_fd, int to_fd) {
	winsize size{};
	if (::ioctl(from_fd, TIOCGWINSZ, &size) == 0) {
		::ioctl(to_fd, TIOCSWINSZ, &size);
	}
}

} // namespace tslxc
