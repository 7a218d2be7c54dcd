#include "console.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "../base/error.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

constexpr std::size_t chunk_bytes = 4096;
constexpr std::size_t tail_bytes = 1024;

void set_nonblocking(int fd) {
	::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/** A file description of our own, so that O_NONBLOCK does not hit the caller's shell. A socket can't be reopened, and a file would be
 * written from its start: then the old one. */
Fd reopen(int fd, int flags) {
	struct stat info {};
	if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
	}
	Fd own(::open(cat("/proc/self/fd/", fd).c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	return own ? std::move(own) : Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

/** Writes what fits; the rest stays in pending. False: the other side is gone. */
bool write_some(int fd, std::string &pending) {
	while (!pending.empty()) {
		const ssize_t count = ::write(fd, pending.data(), pending.size());
		if (count < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		pending.erase(0, static_cast<std::size_t>(count));
	}
	return true;
}

} // namespace

Console::~Console() {
	leave_terminal();
}

void Console::leave_terminal() {
	if (saved_mode_) {
		::tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_mode_);
		saved_mode_.reset();
	}
}

void Console::configure(const ConsolePlan &plan) {
	ring_limit_ = plan.buffer_bytes;
	log_path_ = plan.log_file;
	log_limit_ = plan.log_bytes;
	rotate_ = plan.rotate;
	if (!log_path_.empty()) {
		log_.reset(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
		struct stat info {};
		if (!log_ || ::fstat(log_.get(), &info) < 0) {
			throw_errno("console", cat("cannot open the console log '", log_path_, "'"));
		}
		log_size_ = static_cast<std::uint64_t>(info.st_size);
	}
	if (plan.path.starts_with('/')) {
		output_.reset(::open(plan.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
		if (!output_) {
			throw_errno("console", cat("cannot open console.path '", plan.path, "'"));
		}
		if (::isatty(output_.get()) == 1) {
			input_.reset(::fcntl(output_.get(), F_DUPFD_CLOEXEC, 3));
		}
	}
}

void Console::show_on_terminal() {
	input_ = reopen(STDIN_FILENO, O_RDONLY);
	output_ = reopen(STDOUT_FILENO, O_WRONLY);
	termios mode{};
	if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &mode) == 0) {
		saved_mode_ = mode;
		::cfmakeraw(&mode);
		::tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
	}
}

void Console::attach(Fd master) {
	master_ = std::move(master);
	pending_input_.clear();
	if (master_) {
		set_nonblocking(master_.get());
		reopen_slave();
		resize();
	}
}

void Console::take_over(Fd master, const std::string &tail, const std::string &ring) {
	attach(std::move(master));
	tail_ = tail;
	ring_ = ring;
}

void Console::detach() {
	drain();
	// The last words: a slow terminal gets a second for them.
	for (pollfd watched{output_.get(), POLLOUT, 0}; !pending_output_.empty() && ::poll(&watched, 1, 1000) > 0;) {
		flush_output();
	}
	pending_output_.clear();
	client_.reset();
	slave_.reset();
	master_.reset();
}

/** While any slave is open the master does not report a hang-up, which would be true at every poll. A vhangup in the guest (each getty does
 *  one) closes ours too. ioctl_tty(2) */
void Console::reopen_slave() {
	slave_.reset(::ioctl(master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (!slave_) {
		master_.reset();
	}
}

void Console::resize() {
	winsize size{};
	if (master_ && input_ && ::ioctl(input_.get(), TIOCGWINSZ, &size) == 0) {
		::ioctl(master_.get(), TIOCSWINSZ, &size);
	}
}

std::pair<Fd, Fd> Console::open_client() {
	int ends[2];
	if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		throw_errno("console", "cannot make a socket pair");
	}
	client_.reset(ends[0]);
	set_nonblocking(ends[0]);
	return {Fd(ends[1]), Fd(::fcntl(master_.get(), F_DUPFD_CLOEXEC, 3))};
}

void Console::add_to_poll(std::vector<pollfd> &watched) {
	const bool may_read = pending_output_.empty();
	const bool may_type = pending_input_.empty() && master_;
	const short master_events = static_cast<short>((may_read ? POLLIN : 0) | (pending_input_.empty() ? 0 : POLLOUT));
	watched.push_back({master_.get(), master_events, 0});
	watched.push_back({may_type ? input_.get() : -1, POLLIN, 0});
	watched.push_back({may_read ? -1 : output_.get(), POLLOUT, 0});
	watched.push_back({may_type ? client_.get() : -1, POLLIN, 0});
}

void Console::handle(const pollfd *answers) {
	if ((answers[0].revents & POLLOUT) != 0) {
		flush_input();
	}
	if ((answers[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
		read_master();
	}
	if (answers[1].revents != 0 && input_) {
		take_input(input_);
	}
	if (answers[2].revents != 0) {
		flush_output();
	}
	if (answers[3].revents != 0 && client_) {
		take_input(client_);
	}
}

void Console::read_master() {
	std::array<char, chunk_bytes> buffer;
	const ssize_t count = ::read(master_.get(), buffer.data(), buffer.size());
	if (count > 0) {
		keep({buffer.data(), static_cast<std::size_t>(count)});
	} else if (count < 0 && errno == EIO) {
		reopen_slave();
	}
}

void Console::drain() {
	std::array<char, chunk_bytes> buffer;
	ssize_t count;
	while (master_ && (count = ::read(master_.get(), buffer.data(), buffer.size())) > 0) {
		keep({buffer.data(), static_cast<std::size_t>(count)});
	}
}

void Console::keep(std::string_view text) {
	tail_.append(text);
	if (tail_.size() > 2 * tail_bytes) {
		tail_.erase(0, tail_.size() - tail_bytes);
	}
	for (const char c : ring_limit_ > 0 ? text : std::string_view()) {
		if (ring_.size() < ring_limit_) {
			ring_.push_back(c);
		} else {
			ring_[ring_next_] = c;
			ring_next_ = (ring_next_ + 1) % ring_.size();
		}
	}
	write_log(text);
	if (output_) {
		pending_output_.append(text);
		flush_output();
	}
	if (client_) {
		// A client that does not read loses output rather than stop the guest.
		::send(client_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

void Console::flush_output() {
	if (output_ && !write_some(output_.get(), pending_output_)) {
		output_.reset();
	}
	if (!output_) {
		pending_output_.clear();
	}
}

void Console::flush_input() {
	if (master_ && !write_some(master_.get(), pending_input_)) {
		pending_input_.clear();
	}
}

void Console::take_input(Fd &from) {
	std::array<char, chunk_bytes> buffer;
	const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
	if (count > 0) {
		pending_input_.append(buffer.data(), static_cast<std::size_t>(count));
		flush_input();
	} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
		from.reset();
	}
}

void Console::write_log(std::string_view text) {
	if (!log_) {
		return;
	}
	if (log_limit_ > 0 && log_size_ + text.size() > log_limit_) {
		rotate_log();
	}
	const ssize_t count = ::write(log_.get(), text.data(), text.size());
	log_size_ += count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

/** A full log becomes FILE.1 when asked for, and starts over. */
void Console::rotate_log() {
	if (rotate_) {
		::rename(log_path_.c_str(), cat(log_path_, ".1").c_str());
		Fd fresh(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
		if (!fresh) {
			log::warn("console", cat("cannot open the console log '", log_path_, "' anew"));
			return;
		}
		log_ = std::move(fresh);
	} else if (::ftruncate(log_.get(), 0) < 0) {
		return;
	}
	log_size_ = 0;
}

std::string Console::ring(std::uint64_t max_bytes) const {
	std::string text = ring_.substr(ring_next_) + ring_.substr(0, ring_next_);
	return max_bytes > 0 && max_bytes < text.size() ? text.substr(text.size() - max_bytes) : text;
}

void Console::clear_ring() {
	ring_.clear();
	ring_.shrink_to_fit();
	ring_next_ = 0;
}

std::string Console::tail() const {
	const std::string_view all = tail_;
	return std::string(trim(printable(all.size() > tail_bytes ? all.substr(all.size() - tail_bytes) : all)));
}

} // namespace tslxc
