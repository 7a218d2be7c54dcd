#include "locks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <algorithm>
#include <array>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../base/time.hpp"

namespace tslxc {

namespace {
std::string read_holder(int fd) {
	std::array<char, 512> text;
	const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
	return count > 0 ? std::string(trim({text.data(), static_cast<std::size_t>(count)})) : std::string();
}

void write_holder(int fd, const std::string &command) {
	const std::string line = cat(::getpid(), ' ', unix_time(), ' ', command, '\n');
	// Only for messages: a full disk must not cost the lock.
	[[maybe_unused]] const int truncated = ::ftruncate(fd, 0);
	[[maybe_unused]] const ssize_t written = ::pwrite(fd, line.data(), line.size(), 0);
}

/** `PID UNIX-SECONDS COMMAND` as `'tslxc destroy' (pid 4242, 12 s)`. */
std::string describe_holder(const std::string &line) {
	const auto words = split(line, ' ');
	const auto since = words.size() > 2 ? to_int(words[1]) : std::nullopt;
	if (!since) {
		return "another command";
	}
	const std::string command = line.substr(words[0].size() + words[1].size() + 2);
	const std::int64_t age = std::max<long long>(0, unix_time() - *since);
	return cat('\'', command, "' (pid ", words[0], ", ", age, " s)");
}

Fd open_lock(const std::string &lock_file) {
	constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	Fd fd(::open(lock_file.c_str(), flags, 0600));
	if (!fd && errno == ENOENT) {
		make_dirs(lock_file.substr(0, lock_file.find_last_of('/')), 0700);
		fd.reset(::open(lock_file.c_str(), flags, 0600));
	}
	if (!fd) {
		throw_errno("lock", cat("cannot open ", lock_file));
	}
	return fd;
}

bool lock_now(int fd, bool shared) {
	if (TEMP_FAILURE_RETRY(::flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)) == 0) {
		return true;
	}
	if (errno != EWOULDBLOCK) {
		throw_errno("lock", "cannot lock");
	}
	return false;
}
} // namespace

Fd try_lock(const std::string &lock_file, const std::string &command, bool shared, std::string *holder) {
	Fd fd = open_lock(lock_file);
	if (!lock_now(fd.get(), shared)) {
		if (holder != nullptr) {
			*holder = read_holder(fd.get());
		}
		return {};
	}
	write_holder(fd.get(), command);
	return fd;
}

Fd lock_container(const std::string &lock_file, const std::string &name, const std::string &command, int timeout_ms) {
	Fd fd = open_lock(lock_file);
	const long long end = monotonic_ms() + timeout_ms;
	for (int pause_ms = 1; !lock_now(fd.get(), false); pause_ms = std::min(pause_ms * 2, 100)) {
		if (monotonic_ms() >= end) {
			throw_error("busy", cat('\'', name, "' is locked by ", describe_holder(read_holder(fd.get()))));
		}
		::poll(nullptr, 0, pause_ms);
	}
	write_holder(fd.get(), command);
	return fd;
}

} // namespace tslxc
