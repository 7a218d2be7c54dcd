#include "file.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "error.hpp"
#include "text.hpp"

namespace tslxc {

Fd open_or_throw(const std::string &path, int flags, unsigned mode) {
	const int fd = TEMP_FAILURE_RETRY(::open(path.c_str(), flags | O_CLOEXEC, mode));
	if (fd < 0) {
		throw_errno("open", cat("cannot open ", path));
	}
	return Fd(fd);
}

std::string read_all(int fd, const std::string &what, std::size_t max_bytes) {
	std::string out;
	struct stat status;
	std::size_t room = 4096;
	if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
		// One byte more than the size: the read that finds the end then needs no second buffer.
		room = static_cast<std::size_t>(status.st_size) + 1;
	}
	std::size_t used = 0;
	for (;;) {
		if (used == out.size()) {
			out.resize(used == 0 ? room : used * 2);
		}
		const ssize_t count = TEMP_FAILURE_RETRY(::read(fd, out.data() + used, out.size() - used));
		if (count < 0) {
			throw_errno("read", cat("cannot read ", what));
		}
		if (count == 0) {
			out.resize(used);
			return out;
		}
		used += static_cast<std::size_t>(count);
		if (used > max_bytes) {
			throw_errno("read", cat("cannot read ", what), EFBIG);
		}
	}
}

std::string read_file(const std::string &path, std::size_t max_bytes) {
	const int fd = TEMP_FAILURE_RETRY(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	if (fd < 0) {
		throw_errno("read", cat("cannot read ", path));
	}
	return read_all(Fd(fd).get(), path, max_bytes);
}

std::optional<std::string> read_file_if_present(const std::string &path, std::size_t max_bytes) {
	const Fd fd(TEMP_FAILURE_RETRY(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
	if (!fd) {
		if (errno == ENOENT || errno == ENOTDIR) {
			return std::nullopt;
		}
		throw_errno("read", cat("cannot read ", path));
	}
	return read_all(fd.get(), path, max_bytes);
}

void write_file(const std::string &path, std::string_view content) {
	const Fd fd(TEMP_FAILURE_RETRY(::open(path.c_str(), O_WRONLY | O_CLOEXEC)));
	if (!fd) {
		throw_errno("write", cat("cannot write ", path));
	}
	const ssize_t count = TEMP_FAILURE_RETRY(::write(fd.get(), content.data(), content.size()));
	if (count < 0) {
		throw_errno("write", cat("cannot write '", trim(content.substr(0, 80)), "' to ", path));
	}
	if (static_cast<std::size_t>(count) != content.size()) {
		throw_errno("write", cat("cannot write ", path), EIO);
	}
}

void write_all(int fd, std::string_view content, const std::string &what) {
	while (!content.empty()) {
		const ssize_t count = TEMP_FAILURE_RETRY(::write(fd, content.data(), content.size()));
		if (count < 0) {
			throw_errno("write", cat("cannot write ", what));
		}
		content.remove_prefix(static_cast<std::size_t>(count));
	}
}

void write_file_atomic(const std::string &path, std::string_view content, unsigned mode) {
	const std::string beside = cat(path, ".new-", ::getpid());
	Fd fd = open_or_throw(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
	try {
		write_all(fd.get(), content, beside);
		if (::rename(beside.c_str(), path.c_str()) < 0) {
			throw_errno("rename", cat("cannot replace ", path));
		}
	} catch (...) {
		::unlink(beside.c_str());
		throw;
	}
}

void make_dirs(const std::string &path, unsigned mode) {
	if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) {
		return;
	}
	const std::size_t slash = path.find_last_of('/');
	if (errno != ENOENT || slash == std::string::npos || slash == 0) {
		throw_errno("mkdir", cat("cannot make directory ", path));
	}
	make_dirs(path.substr(0, slash), mode);
	if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST) {
		throw_errno("mkdir", cat("cannot make directory ", path));
	}
}

std::string read_link(const std::string &path) {
	std::string target(PATH_MAX, '\0');
	const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
	if (length < 0) {
		throw_errno("read", cat("cannot read link ", path));
	}
	target.resize(static_cast<std::size_t>(length));
	return target;
}

bool exists(const std::string &path) {
	return ::access(path.c_str(), F_OK) == 0;
}

} // namespace tslxc
