#include "copy_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {
// Small enough that a cancelled copy stops at once, large enough that the call does not count.
constexpr std::uint64_t chunk_bytes = 16u << 20;
constexpr std::size_t buffer_bytes = 256u << 10;

bool no_reflink(int error_number) {
	return error_number == EOPNOTSUPP || error_number == EXDEV || error_number == EINVAL || error_number == ENOTTY ||
		   error_number == ENOSYS;
}

bool clone_whole(CopyContext &context, int from, int to, const std::string &shown) {
	if (!context.reflink.load(std::memory_order_relaxed)) {
		return false;
	}
	if (::ioctl(to, FICLONE, from) == 0) {
		context.totals.reflinked++;
		return true;
	}
	if (!no_reflink(errno)) {
		copy_failed(shown, errno);
	}
	context.reflink = false;
	return false;
}

/** One a thread: filled before it is read, so it need not be cleared. */
char *own_buffer() {
	thread_local const std::unique_ptr<char[]> buffer(new char[buffer_bytes]);
	return buffer.get();
}

void copy_by_buffer(int from, int to, std::uint64_t begin, std::uint64_t end, const std::string &shown) {
	char *buffer = own_buffer();
	while (begin < end) {
		const std::size_t want = std::min<std::uint64_t>(buffer_bytes, end - begin);
		const ssize_t got = TEMP_FAILURE_RETRY(::pread(from, buffer, want, static_cast<off_t>(begin)));
		if (got < 0) {
			copy_failed(shown, errno);
		}
		if (got == 0) {
			return; // truncated meanwhile
		}
		for (ssize_t done = 0; done < got;) {
			const ssize_t put =
				TEMP_FAILURE_RETRY(::pwrite(to, buffer + done, static_cast<std::size_t>(got - done), static_cast<off_t>(begin) + done));
			if (put < 0) {
				copy_failed(shown, errno);
			}
			done += put;
		}
		begin += static_cast<std::uint64_t>(got);
	}
}

void copy_range(CopyContext &context, int from, int to, std::uint64_t begin, std::uint64_t end, const std::string &shown) {
	while (begin < end) {
		check_cancelled(context);
		off_t in = static_cast<off_t>(begin), out = in;
		const std::uint64_t want = std::min(chunk_bytes, end - begin);
		const ssize_t count = TEMP_FAILURE_RETRY(::copy_file_range(from, &in, to, &out, want, 0));
		if (count > 0) {
			begin += static_cast<std::uint64_t>(count);
			context.totals.bytes += static_cast<std::uint64_t>(count);
			continue;
		}
		if (count < 0 && !no_reflink(errno)) {
			copy_failed(shown, errno);
		}
		// Not between these file systems, or 0 from one that makes its content up: by hand. copy_file_range(2)
		copy_by_buffer(from, to, begin, begin + want, shown);
		begin += want;
		context.totals.bytes += want;
	}
}
} // namespace

void check_cancelled(const CopyContext &context) {
	if (context.cancel != nullptr && *context.cancel != 0) {
		throw_error("aborted", "interrupted");
	}
}

void copy_failed(const std::string &shown, int error_number) {
	throw_errno("copy", cat("cannot copy '", shown, "'"), error_number);
}

void copy_data(CopyContext &context, int from, int to, std::uint64_t size, const std::string &shown) {
	if (size == 0 || clone_whole(context, from, to, shown)) {
		return;
	}
	off_t position = 0;
	while (static_cast<std::uint64_t>(position) < size) {
		const off_t data = ::lseek(from, position, SEEK_DATA);
		if (data < 0 && errno == ENXIO) {
			break; // only a hole is left
		}
		const off_t begin = data < 0 ? position : data; // no SEEK_DATA here: all is data
		const off_t hole = data < 0 ? -1 : ::lseek(from, begin, SEEK_HOLE);
		const auto end = hole < 0 ? size : std::min<std::uint64_t>(static_cast<std::uint64_t>(hole), size);
		copy_range(context, from, to, static_cast<std::uint64_t>(begin), end, shown);
		position = static_cast<off_t>(end);
	}
	if (::ftruncate(to, static_cast<off_t>(size)) < 0) {
		copy_failed(shown, errno);
	}
}

void copy_dense(CopyContext &context, int from, int to, std::uint64_t size, const std::string &shown) {
	if (size == 0 || clone_whole(context, from, to, shown)) {
		return;
	}
	if (size > buffer_bytes) {
		copy_range(context, from, to, 0, size, shown);
		return;
	}
	copy_by_buffer(from, to, 0, size, shown);
	context.totals.bytes += size;
}

void copy_times(int to, const struct statx &status, const std::string &shown, Handle handle) {
	const timespec times[2] = {{status.stx_atime.tv_sec, status.stx_atime.tv_nsec}, {status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec}};
	// The /proc link of a symlink's O_PATH leads to the symlink itself; futimens says EBADF for it.
	const int done = handle == Handle::open ? ::futimens(to, times) : ::utimensat(AT_FDCWD, cat("/proc/self/fd/", to).c_str(), times, 0);
	if (done < 0) {
		copy_failed(shown, errno);
	}
}

} // namespace tslxc
