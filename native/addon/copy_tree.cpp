#include "copy_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "copy_queue.hpp"

namespace tslxc {

namespace {
/**
 * A source directory and its copy. The last holder gives the copy its owner, mode, attributes and times: making entries
 * changes the times, and entries would inherit a set-group-id bit or a default ACL.
 */
struct DirPair {
	CopyContext &context;
	Fd from, to;
	struct statx status;
	std::string shown;
	std::string below; // path of the copy beneath the top, for hard links; empty: the top

	DirPair(CopyContext &copy, Fd source, Fd target, std::string path, std::string beneath)
		: context(copy), from(std::move(source)), to(std::move(target)), status(), shown(std::move(path)), below(std::move(beneath)) {}
	DirPair(const DirPair &) = delete;
	DirPair &operator=(const DirPair &) = delete;
	~DirPair() {
		try {
			copy_metadata(context, from.get(), to.get(), status, shown, Handle::open);
			copy_times(to.get(), status, shown, Handle::open);
		} catch (const SysError &) {
			context.note_failure(std::current_exception());
		}
	}
};
using DirPtr = std::shared_ptr<DirPair>;

struct Entry {
	Fd from;
	Handle handle; // of it
	struct statx status;
	std::string name, shown;
};

struct Walk {
	CopyContext &context;
	CopyQueue &queue;
	int top; // the copy's top directory
	/** First copy of an inode with several names, as a path beneath the top. One device: the number is enough. */
	std::map<std::uint64_t, std::string> linked;
};

struct statx status_of(int fd, const std::string &shown) {
	struct statx status;
	if (::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) < 0) {
		copy_failed(shown, errno);
	}
	return status;
}

/**
 * O_PATH opens no device and waits for no FIFO; `type` of a regular file is opened for reading at once, and looked at again
 * then. Nothing: gone meanwhile. EXDEV stays in errno for a mount.
 */
Fd open_entry(int dir_fd, const char *name, Handle handle) {
	open_how how{};
	how.flags = (handle == Handle::open ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH) | O_NOFOLLOW | O_CLOEXEC;
	how.resolve = RESOLVE_NO_XDEV;
	return Fd(static_cast<int>(TEMP_FAILURE_RETRY(::syscall(SYS_openat2, dir_fd, name, &how, sizeof how))));
}

Fd reopen(const Fd &path_fd, int flags, const std::string &shown) {
	Fd fd(::open(cat("/proc/self/fd/", path_fd.get()).c_str(), flags | O_CLOEXEC));
	if (!fd) {
		copy_failed(shown, errno);
	}
	return fd;
}

Fd open_copy(int dir_fd, const std::string &name, int flags, const std::string &shown) {
	Fd fd(::openat(dir_fd, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (!fd) {
		copy_failed(shown, errno);
	}
	return fd;
}

void finish_entry(const CopyContext &context, const Fd &from, int to, const struct statx &status, const std::string &shown) {
	copy_metadata(context, from.get(), to, status, shown, Handle::path);
	copy_times(to, status, shown, Handle::path);
}

void copy_regular(CopyContext &context, const DirPair &dir, const Entry &entry) {
	check_cancelled(context);
	const Fd to = open_copy(dir.to.get(), entry.name, O_WRONLY | O_CREAT | O_EXCL, entry.shown);
	const Fd reopened = entry.handle == Handle::open ? Fd() : reopen(entry.from, O_RDONLY | O_NONBLOCK | O_NOCTTY, entry.shown);
	const int from = entry.handle == Handle::open ? entry.from.get() : reopened.get();
	const bool is_dense = entry.status.stx_blocks * 512 >= entry.status.stx_size;
	(is_dense ? copy_dense : copy_data)(context, from, to.get(), entry.status.stx_size, entry.shown);
	copy_metadata(context, from, to.get(), entry.status, entry.shown, Handle::open);
	copy_times(to.get(), entry.status, entry.shown, Handle::open);
}

void copy_symlink(CopyContext &context, const DirPair &dir, const Entry &entry) {
	std::string target(entry.status.stx_size + 1, '\0');
	const ssize_t length = ::readlinkat(entry.from.get(), "", target.data(), target.size());
	if (length < 0) {
		copy_failed(entry.shown, errno);
	}
	target.resize(static_cast<std::size_t>(length));
	if (::symlinkat(target.c_str(), dir.to.get(), entry.name.c_str()) < 0) {
		copy_failed(entry.shown, errno);
	}
	const Fd to = open_copy(dir.to.get(), entry.name, O_PATH, entry.shown);
	finish_entry(context, entry.from, to.get(), entry.status, entry.shown);
}

/** Device nodes, sockets, FIFOs. */
void copy_special(CopyContext &context, const DirPair &dir, const Entry &entry) {
	const dev_t device = ::gnu_dev_makedev(entry.status.stx_rdev_major, entry.status.stx_rdev_minor);
	if (::mknodat(dir.to.get(), entry.name.c_str(), entry.status.stx_mode & (S_IFMT | 0600), device) < 0) {
		copy_failed(entry.shown, errno);
	}
	const Fd to = open_copy(dir.to.get(), entry.name, O_PATH, entry.shown);
	finish_entry(context, entry.from, to.get(), entry.status, entry.shown);
}

std::string beneath(const DirPair &dir, const std::string &name) {
	return dir.below.empty() ? name : cat(dir.below, "/", name);
}

/** True: the entry is one more name of a file that has been copied. */
bool copy_as_link(Walk &walk, const DirPair &dir, const Entry &entry) {
	if (entry.status.stx_nlink < 2) {
		return false;
	}
	const auto [first, is_new] = walk.linked.try_emplace(entry.status.stx_ino, beneath(dir, entry.name));
	if (is_new) {
		return false;
	}
	if (::linkat(walk.top, first->second.c_str(), dir.to.get(), entry.name.c_str(), 0) < 0) {
		copy_failed(entry.shown, errno);
	}
	return true;
}

void copy_children(Walk &walk, const DirPtr &dir);

void copy_dir(Walk &walk, const DirPair &parent, Entry entry) {
	if (::mkdirat(parent.to.get(), entry.name.c_str(), 0700) < 0) {
		copy_failed(entry.shown, errno);
	}
	Fd to = open_copy(parent.to.get(), entry.name, O_RDONLY | O_DIRECTORY, entry.shown);
	Fd from = reopen(entry.from, O_RDONLY | O_DIRECTORY, entry.shown);
	entry.from.reset();
	auto dir = std::make_shared<DirPair>(walk.context, std::move(from), std::move(to), entry.shown, beneath(parent, entry.name));
	dir->status = entry.status;
	copy_children(walk, dir);
}

/** A mount is another file system: its point is made, empty, so that the copy can be mounted over too. */
void copy_mount_point(Walk &walk, const DirPair &dir, const std::string &name, const std::string &shown) {
	struct statx status;
	if (::statx(dir.from.get(), name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status) < 0) {
		copy_failed(shown, errno);
	}
	const bool is_dir = S_ISDIR(status.stx_mode);
	const int made = is_dir ? ::mkdirat(dir.to.get(), name.c_str(), 0755) : ::mknodat(dir.to.get(), name.c_str(), S_IFREG | 0644, 0);
	if (made < 0 || ::fchownat(dir.to.get(), name.c_str(), dir.status.stx_uid + static_cast<uid_t>(walk.context.shift),
							   dir.status.stx_gid + static_cast<gid_t>(walk.context.shift), AT_SYMLINK_NOFOLLOW) < 0) {
		copy_failed(shown, errno);
	}
}

void copy_entry(Walk &walk, const DirPtr &dir, const char *name, Handle handle) {
	check_cancelled(walk.context);
	const std::string shown = cat(dir->shown, "/", name);
	Fd from = open_entry(dir->from.get(), name, handle);
	if (!from && handle == Handle::open && (errno == ELOOP || errno == ENXIO)) {
		return copy_entry(walk, dir, name, Handle::path); // another thing meanwhile
	}
	if (!from) {
		if (errno == EXDEV) {
			copy_mount_point(walk, *dir, name, shown);
		} else if (errno != ENOENT) {
			copy_failed(shown, errno);
		}
		return;
	}
	const struct statx status = status_of(from.get(), shown);
	Entry entry{std::move(from), handle, status, name, shown};
	walk.context.totals.entries++;
	if (S_ISDIR(status.stx_mode)) {
		copy_dir(walk, *dir, std::move(entry));
	} else if (copy_as_link(walk, *dir, entry)) {
		return;
	} else if (!S_ISREG(status.stx_mode)) {
		S_ISLNK(status.stx_mode) ? copy_symlink(walk.context, *dir, entry) : copy_special(walk.context, *dir, entry);
	} else if (status.stx_nlink > 1) {
		copy_regular(walk.context, *dir, entry); // here and now: a later name is linked to it
	} else {
		auto shared = std::make_shared<Entry>(std::move(entry));
		walk.queue.add([&context = walk.context, dir, shared] { copy_regular(context, *dir, *shared); });
	}
}

void copy_children(Walk &walk, const DirPtr &dir) {
	Fd listed(::openat(dir->from.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const std::unique_ptr<DIR, int (*)(DIR *)> stream(listed ? ::fdopendir(listed.get()) : nullptr, ::closedir);
	if (!stream) {
		copy_failed(dir->shown, errno);
	}
	listed.release(); // closedir closes it
	for (;;) {
		errno = 0;
		const dirent *entry = ::readdir(stream.get());
		if (entry == nullptr) {
			if (errno != 0) {
				copy_failed(dir->shown, errno);
			}
			return;
		}
		const std::string_view name(entry->d_name);
		if (name != "." && name != "..") {
			copy_entry(walk, dir, entry->d_name, entry->d_type == DT_REG ? Handle::open : Handle::path);
		}
	}
}

bool is_empty(int dir_fd) {
	Fd fd(::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const std::unique_ptr<DIR, int (*)(DIR *)> stream(fd ? ::fdopendir(fd.get()) : nullptr, ::closedir);
	if (!stream) {
		return false;
	}
	fd.release();
	for (const dirent *entry = ::readdir(stream.get()); entry != nullptr; entry = ::readdir(stream.get())) {
		if (std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..") {
			return false;
		}
	}
	return true;
}
} // namespace

void copy_tree(CopyContext &context, const std::string &from, const std::string &to) {
	Fd source = open_or_throw(from, O_RDONLY | O_DIRECTORY);
	const struct statx status = status_of(source.get(), from);
	if (::mkdir(to.c_str(), 0700) < 0 && errno != EEXIST) {
		throw_errno("copy", cat("cannot make '", to, "'"));
	}
	// A detached mount is reached by a link that only the kernel makes.
	Fd target = open_or_throw(to, O_RDONLY | O_DIRECTORY | (to.starts_with("/proc/") ? 0 : O_NOFOLLOW));
	if (!is_empty(target.get())) {
		throw_error("exists", cat("cannot copy to '", to, "': it is not empty"));
	}
	const Fd top(::fcntl(target.get(), F_DUPFD_CLOEXEC, 3));
	if (!top) {
		copy_failed(from, errno);
	}
	auto dir = std::make_shared<DirPair>(context, std::move(source), std::move(target), from, "");
	dir->status = status;
	CopyQueue queue;
	Walk walk{context, queue, top.get(), {}};
	context.totals.entries++;
	if (!context.top_only) {
		copy_children(walk, dir);
	}
	queue.finish();
	dir.reset(); // the last one: its attributes may fail too
	context.rethrow_failure();
}

} // namespace tslxc
