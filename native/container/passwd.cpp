#include "passwd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"

namespace tslxc {

std::optional<PasswdEntry> find_in_passwd(std::string_view text, uid_t uid) {
	while (!text.empty()) {
		auto end = text.find('\n');
		auto fields = split(text.substr(0, end), ':');
		text.remove_prefix(end == text.npos ? text.size() : end + 1);
		if (fields.size() < 7) {
			continue;
		}
		auto number = to_int(fields[2]);
		auto group = to_int(fields[3]);
		if (number && group && *number == static_cast<std::int64_t>(uid)) {
			return PasswdEntry{fields[0], fields[5], fields[6], uid, static_cast<gid_t>(*group)};
		}
	}
	return {};
}

std::optional<PasswdEntry> read_guest_passwd(uid_t uid) {
	constexpr off_t max_bytes = 4 << 20;
	Fd fd(::open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	struct stat info {};
	if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > max_bytes) {
		return {};
	}
	try {
		return find_in_passwd(read_all(fd.get(), "/etc/passwd", max_bytes), uid);
	} catch (const SysError &) {
		return {};
	}
}

namespace {

[[noreturn]] void exec_getent(uid_t uid, int output, char *const *env) {
	int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		::dup2(null, 0);
		::dup2(null, 2);
	} else {
		::close(0);
		::close(2);
	}
	::dup2(output, 1);
	auto number = std::to_string(uid);
	std::array words = {const_cast<char *>("getent"), const_cast<char *>("passwd"), number.data(), static_cast<char *>(nullptr)};
	for (const char *path : {"/usr/bin/getent", "/bin/getent", "/usr/local/bin/getent", "/run/current-system/sw/bin/getent"}) {
		::execve(path, words.data(), env);
	}
	::_exit(127);
}

} // namespace

std::optional<PasswdEntry> ask_getent(uid_t uid, char *const *env) {
	int ends[2];
	if (::pipe2(ends, O_CLOEXEC) != 0) {
		return {};
	}
	Fd reader(ends[0]);
	Fd writer(ends[1]);
	pid_t child = ::fork();
	if (child == 0) {
		exec_getent(uid, writer.get(), env);
	}
	writer.reset();
	std::string text;
	std::array<char, 4096> buffer;
	constexpr std::size_t max_bytes = 64 * 1024;
	ssize_t count = 0;
	while (child > 0 && text.size() < max_bytes && (count = ::read(reader.get(), buffer.data(), buffer.size())) != 0) {
		if (count < 0 && errno != EINTR) {
			break;
		}
		text.append(buffer.data(), static_cast<std::size_t>(count > 0 ? count : 0));
	}
	reader.reset();
	while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
	}
	return find_in_passwd(text, uid);
}

} // namespace tslxc
