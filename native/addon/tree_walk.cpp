#include "tree_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

namespace {
using Visit = std::function<void(int, const char *, const struct statx &)>;

[[noreturn]] void walk_failed(const std::string &path) {
	throw_errno("walk", cat("cannot walk through '", path, "'"));
}

/** A directory that is being walked: the way back is `..`, and this tells whether it led where it should. */
struct Level {
	std::uint64_t inode;
	std::vector<std::string> dirs; // still to be walked
};

Fd open_dir(int dir_fd, const char *name, std::uint64_t resolve) {
	open_how how{};
	how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	how.resolve = resolve;
	return Fd(TEMP_FAILURE_RETRY(sys::openat2(dir_fd, name, &how)));
}

bool look_at(int dir_fd, const char *name, struct statx &status, const std::string &shown) {
	const unsigned wanted = STATX_BASIC_STATS;
	if (::statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, wanted, &status) == 0) {
		return true;
	}
	if (errno != ENOENT) {
		walk_failed(shown);
	}
	return false;
}

/** Visits what is in the directory; answers those of its entries that are directories. */
std::vector<std::string> visit_entries(const Fd &fd, const Visit &visit, const std::string &shown) {
	Fd listed(::openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const std::unique_ptr<DIR, int (*)(DIR *)> stream(listed ? ::fdopendir(listed.get()) : nullptr, ::closedir);
	if (!stream) {
		walk_failed(shown);
	}
	listed.release(); // closedir closes it
	std::vector<std::string> dirs;
	for (;;) {
		errno = 0;
		const dirent *entry = ::readdir(stream.get());
		if (entry == nullptr) {
			if (errno != 0) {
				walk_failed(shown);
			}
			return dirs;
		}
		const std::string_view name(entry->d_name);
		struct statx status;
		if (name == "." || name == ".." || !look_at(fd.get(), entry->d_name, status, shown)) {
			continue;
		}
		if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
			continue;
		}
		visit(fd.get(), entry->d_name, status);
		if (S_ISDIR(status.stx_mode)) {
			dirs.emplace_back(name);
		}
	}
}

std::uint64_t inode_of(const Fd &fd, const std::string &shown) {
	struct stat status;
	if (::fstat(fd.get(), &status) < 0) {
		walk_failed(shown);
	}
	return status.st_ino;
}
} // namespace

void walk_tree(const std::string &path, const Visit &visit) {
	Fd at = open_or_throw(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct statx status;
	if (!look_at(at.get(), ".", status, path)) {
		return;
	}
	visit(at.get(), ".", status);
	std::vector<Level> levels;
	levels.push_back({inode_of(at, path), visit_entries(at, visit, path)});
	while (!levels.empty()) {
		if (!levels.back().dirs.empty()) {
			const std::string name = std::move(levels.back().dirs.back());
			levels.back().dirs.pop_back();
			Fd below = open_dir(at.get(), name.c_str(), RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
			if (below) {
				at = std::move(below);
				levels.push_back({inode_of(at, path), visit_entries(at, visit, path)});
			} else if (errno != ENOENT && errno != ENOTDIR && errno != EXDEV && errno != ELOOP) {
				walk_failed(path);
			}
			continue;
		}
		levels.pop_back();
		if (levels.empty()) {
			return;
		}
		Fd above = open_dir(at.get(), "..", RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
		if (!above) {
			walk_failed(path);
		}
		if (inode_of(above, path) != levels.back().inode) {
			throw_error("busy", cat("cannot walk through '", path, "': its directories are being moved"));
		}
		at = std::move(above);
	}
}

} // namespace tslxc
