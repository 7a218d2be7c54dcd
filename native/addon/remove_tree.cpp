#include "remove_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {
// A guest can nest directories deeper than there are descriptors; below this depth a subtree is first moved to the top.
constexpr int deepest = 128;

struct Removal {
	int top_fd; // directory that holds the tree: deep subtrees are moved here, and removed after the unwinding
	std::vector<std::string> moved;
};

[[noreturn]] void fail(const std::string &shown, int error_number = errno) {
	if (error_number == EXDEV || error_number == EBUSY) {
		throw_errno("remove", cat("cannot remove '", shown, "': something is mounted there"), error_number, cat("umount '", shown, "'"));
	}
	throw_errno("remove", cat("cannot remove '", shown, "'"), error_number);
}

/** A privileged guest can make files immutable; then unlink says EPERM. ioctl_iflags(2) */
bool clear_immutable(int fd) {
	int flags = 0;
	if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0) {
		return false;
	}
	flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return ::ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

bool clear_immutable_entry(int dir_fd, const char *name) {
	struct stat status;
	if (::fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) {
		return false;
	}
	const Fd fd(::openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
	return fd && clear_immutable(fd.get());
}

bool unlink_entry(int dir_fd, const char *name, int flags) {
	if (::unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT) {
		return true;
	}
	if (errno != EPERM) {
		return false;
	}
	// The entry, or the directory it stands in, which needs a descriptor that is not O_PATH.
	const bool entry_cleared = clear_immutable_entry(dir_fd, name);
	const Fd dir(::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const bool dir_cleared = dir && clear_immutable(dir.get());
	if (!entry_cleared && !dir_cleared) {
		errno = EPERM;
		return false;
	}
	return ::unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT;
}

Fd open_dir(int parent_fd, const char *name) {
	open_how how{};
	how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
	return Fd(static_cast<int>(TEMP_FAILURE_RETRY(::syscall(SYS_openat2, parent_fd, name, &how, sizeof how))));
}

void remove_in(Removal &removal, int parent_fd, const char *name, const std::string &shown, int depth);

void empty_dir(Removal &removal, Fd fd, const std::string &shown, int depth) {
	const int raw = fd.get();
	const std::unique_ptr<DIR, int (*)(DIR *)> dir(::fdopendir(raw), ::closedir);
	if (!dir) {
		fail(shown);
	}
	fd.release(); // closedir closes it
	for (;;) {
		errno = 0;
		const dirent *entry = ::readdir(dir.get());
		if (entry == nullptr) {
			if (errno != 0) {
				fail(shown);
			}
			return;
		}
		const std::string_view child(entry->d_name);
		if (child == "." || child == "..") {
			continue;
		}
		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN && unlink_entry(raw, entry->d_name, 0)) {
			continue;
		}
		remove_in(removal, raw, entry->d_name, cat(shown, "/", child), depth + 1);
	}
}

void move_up(Removal &removal, int parent_fd, const char *name, const std::string &shown) {
	std::uint64_t number = 0;
	if (::getrandom(&number, sizeof number, 0) != sizeof number) {
		fail(shown);
	}
	const std::string moved = cat(".tslxc-deep-", number);
	if (::renameat(parent_fd, name, removal.top_fd, moved.c_str()) < 0) {
		fail(shown);
	}
	removal.moved.push_back(moved);
}

void remove_in(Removal &removal, int parent_fd, const char *name, const std::string &shown, int depth) {
	Fd dir = open_dir(parent_fd, name);
	if (!dir) {
		if (errno == ENOENT) {
			return;
		}
		if (errno != ENOTDIR && errno != ELOOP) {
			fail(shown);
		}
		if (!unlink_entry(parent_fd, name, 0)) {
			fail(shown);
		}
		return;
	}
	if (depth >= deepest) {
		dir.reset();
		move_up(removal, parent_fd, name, shown);
		return;
	}
	empty_dir(removal, std::move(dir), shown, depth);
	if (!unlink_entry(parent_fd, name, AT_REMOVEDIR)) {
		fail(shown);
	}
}
} // namespace

void remove_entry(int parent_fd, const std::string &name, const std::string &shown) {
	Removal removal{parent_fd, {}};
	remove_in(removal, parent_fd, name.c_str(), shown, 0);
	while (!removal.moved.empty()) {
		const std::string next = std::move(removal.moved.back());
		removal.moved.pop_back();
		remove_in(removal, parent_fd, next.c_str(), cat(shown, "/…"), 0);
	}
}

void remove_tree(const std::string &path) {
	std::string text = path;
	while (text.size() > 1 && text.back() == '/') {
		text.pop_back();
	}
	const std::size_t slash = text.find_last_of('/');
	const std::string parent = slash == 0 ? "/" : text.substr(0, slash);
	const std::string name = text.substr(slash + 1);
	if (slash == std::string::npos || name.empty() || name == "." || name == "..") {
		throw_error("internal", cat("cannot remove '", path, "': it is no absolute path of an entry"));
	}
	const Fd fd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (!fd) {
		if (errno == ENOENT || errno == ENOTDIR) {
			return;
		}
		fail(path);
	}
	remove_entry(fd.get(), name, text);
}

} // namespace tslxc
