#include "confined_dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "remove_tree.hpp"

namespace tslxc {

namespace {
constexpr mode_t parent_mode = 0755;
constexpr int attempts = 32;

bool absent(int error_number) {
	return error_number == ENOENT || error_number == ENOTDIR;
}

Fd open_in_root(int root, const std::string &path, int flags) {
	open_how how{};
	how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
	how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	long fd = -1;
	// EAGAIN: something was renamed meanwhile, so the kernel cannot vouch for a `..`. openat2(2)
	for (int i = 0; i < attempts; i++) {
		fd = TEMP_FAILURE_RETRY(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
		if (fd >= 0 || errno != EAGAIN) {
			break;
		}
	}
	return Fd(static_cast<int>(fd));
}

std::string fd_path(const Fd &fd) {
	return cat("/proc/self/fd/", fd.get());
}

struct Place {
	std::string dir, base;
};

/** Where an entry is made or replaced: its base must be a name, for `..` would leave the directory that was checked. */
Place place_of(const std::string &path, const char *verb) {
	std::string text = path;
	while (!text.empty() && text.back() == '/') {
		text.pop_back();
	}
	const std::size_t slash = text.find_last_of('/');
	Place place{slash == std::string::npos ? "." : text.substr(0, slash + 1), slash == std::string::npos ? text : text.substr(slash + 1)};
	if (place.base.empty() || place.base == "." || place.base == "..") {
		throw_error("internal", cat("cannot ", verb, " '", path, "' in the root file system: it is no file's name"));
	}
	return place;
}

std::string temporary_name() {
	std::uint64_t number = 0;
	if (::getrandom(&number, sizeof number, 0) != sizeof number) {
		throw_errno("random", "cannot get random bytes");
	}
	return cat(".tslxc-", number);
}

[[noreturn]] void fail(const char *verb, const std::string &path, int error_number = errno) {
	throw_errno("rootfs", cat("cannot ", verb, " '", path, "' in the root file system"), error_number);
}

struct stat status_of(const Fd &fd, const char *verb, const std::string &path) {
	struct stat status;
	if (::fstat(fd.get(), &status) < 0) {
		fail(verb, path);
	}
	return status;
}
} // namespace

ConfinedDir::ConfinedDir(const std::string &path) : root_(open_or_throw(path, O_PATH | O_DIRECTORY)) {}

int ConfinedDir::root() const {
	if (!root_) {
		throw_error("internal", "cannot use the root file system: it is closed");
	}
	return root_.get();
}

Fd ConfinedDir::find(const std::string &path, int flags) const {
	// Empty is the root itself; an absolute path is taken beneath it by RESOLVE_IN_ROOT.
	Fd fd = open_in_root(root(), path.empty() ? "." : path, flags);
	if (!fd && !absent(errno)) {
		fail("open", path);
	}
	return fd;
}

Fd ConfinedDir::find_or_throw(const std::string &path, const char *verb) const {
	Fd fd = find(path, O_PATH | O_NOFOLLOW);
	if (!fd) {
		fail(verb, path, ENOENT);
	}
	return fd;
}

Fd ConfinedDir::make_parents(const std::string &dir) const {
	Fd fd = find(dir, O_PATH | O_DIRECTORY);
	if (fd) {
		return fd;
	}
	const Place place = place_of(dir, "make");
	const Fd above = make_parents(place.dir);
	if (::mkdirat(above.get(), place.base.c_str(), parent_mode) < 0 && errno != EEXIST) {
		fail("make", dir);
	}
	Fd made(::openat(above.get(), place.base.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!made) {
		fail("make", dir, ENOTDIR); // a symlink that leads nowhere, or a file
	}
	const struct stat parent = status_of(above, "make", dir);
	if (::fchownat(made.get(), "", parent.st_uid, parent.st_gid, AT_EMPTY_PATH) < 0 || ::chmod(fd_path(made).c_str(), parent_mode) < 0) {
		fail("make", dir);
	}
	return made;
}

std::optional<std::string> ConfinedDir::read(const std::string &path, std::size_t max_bytes) const {
	// First O_PATH, which opens no device and waits for no FIFO; only a regular file is opened for reading.
	const Fd found = find(path, O_PATH);
	if (!found) {
		return std::nullopt;
	}
	const struct stat status = status_of(found, "read", path);
	if (!S_ISREG(status.st_mode)) {
		throw_error("state", cat("cannot read '", path, "' in the root file system: it is no regular file"));
	}
	if (static_cast<std::uint64_t>(status.st_size) > max_bytes) {
		fail("read", path, EFBIG);
	}
	return read_file(fd_path(found), max_bytes);
}

void ConfinedDir::write(const std::string &path, std::string_view content, mode_t mode, Owner owner) const {
	const Place place = place_of(path, "write");
	const Fd parent = make_parents(place.dir);
	const std::string beside = temporary_name();
	const Fd file(::openat(parent.get(), beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (!file) {
		fail("write", path);
	}
	try {
		write_all(file.get(), content, cat("'", path, "' in the root file system"));
		// Owner first: chown clears the set-id bits.
		if (::fchown(file.get(), owner.uid, owner.gid) < 0 || ::fchmod(file.get(), mode) < 0 ||
			::renameat(parent.get(), beside.c_str(), parent.get(), place.base.c_str()) < 0) {
			fail("write", path);
		}
	} catch (...) {
		::unlinkat(parent.get(), beside.c_str(), 0);
		throw;
	}
}

void ConfinedDir::make_dir(const std::string &path, mode_t mode, Owner owner) const {
	if (find(path, O_PATH | O_DIRECTORY)) {
		return;
	}
	const Place place = place_of(path, "make");
	const Fd parent = make_parents(place.dir);
	if (::mkdirat(parent.get(), place.base.c_str(), 0700) < 0) {
		fail("make", path);
	}
	const Fd made(::openat(parent.get(), place.base.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!made || ::fchownat(made.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0 || ::chmod(fd_path(made).c_str(), mode) < 0) {
		fail("make", path);
	}
}

void ConfinedDir::symlink(const std::string &target, const std::string &path) const {
	const Place place = place_of(path, "link");
	const Fd parent = make_parents(place.dir);
	const struct stat above = status_of(parent, "link", path);
	const std::string beside = temporary_name();
	if (::symlinkat(target.c_str(), parent.get(), beside.c_str()) < 0) {
		fail("link", path);
	}
	if (::fchownat(parent.get(), beside.c_str(), above.st_uid, above.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		::renameat(parent.get(), beside.c_str(), parent.get(), place.base.c_str()) < 0) {
		const int error_number = errno;
		::unlinkat(parent.get(), beside.c_str(), 0);
		fail("link", path, error_number);
	}
}

void ConfinedDir::remove(const std::string &path) const {
	const Place place = place_of(path, "remove");
	const Fd parent = find(place.dir, O_PATH | O_DIRECTORY);
	if (parent) {
		remove_entry(parent.get(), place.base, path);
	}
}

std::optional<std::vector<std::string>> ConfinedDir::list(const std::string &path) const {
	Fd fd = find(path, O_RDONLY | O_DIRECTORY);
	if (!fd) {
		return std::nullopt;
	}
	const std::unique_ptr<DIR, int (*)(DIR *)> dir(::fdopendir(fd.get()), ::closedir);
	if (!dir) {
		fail("list", path);
	}
	fd.release(); // closedir closes it
	std::vector<std::string> names;
	for (const dirent *entry = ::readdir(dir.get()); entry != nullptr; entry = ::readdir(dir.get())) {
		const std::string_view name(entry->d_name);
		if (name != "." && name != "..") {
			names.emplace_back(name);
		}
	}
	std::sort(names.begin(), names.end());
	return names;
}

std::optional<EntryStatus> ConfinedDir::status(const std::string &path) const {
	const Fd found = find(path, O_PATH | O_NOFOLLOW);
	if (!found) {
		return std::nullopt;
	}
	const struct stat status = status_of(found, "look at", path);
	return EntryStatus{status.st_mode, status.st_uid, status.st_gid, status.st_size};
}

void ConfinedDir::change_mode(const std::string &path, mode_t mode) const {
	const Fd found = find_or_throw(path, "change the mode of");
	if (S_ISLNK(status_of(found, "change the mode of", path).st_mode)) {
		fail("change the mode of", path, ELOOP);
	}
	if (::chmod(fd_path(found).c_str(), mode) < 0) {
		fail("change the mode of", path);
	}
}

void ConfinedDir::change_owner(const std::string &path, Owner owner) const {
	const Fd found = find_or_throw(path, "change the owner of");
	if (::fchownat(found.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0) {
		fail("change the owner of", path);
	}
}

std::optional<std::string> ConfinedDir::read_link(const std::string &path) const {
	const Fd found = find(path, O_PATH | O_NOFOLLOW);
	if (!found) {
		return std::nullopt;
	}
	std::string target(4096, '\0');
	const ssize_t length = ::readlinkat(found.get(), "", target.data(), target.size());
	if (length < 0) {
		if (errno == EINVAL || errno == ENOENT) { // no symlink
			return std::nullopt;
		}
		fail("read the link", path);
	}
	target.resize(static_cast<std::size_t>(length));
	return target;
}

} // namespace tslxc
