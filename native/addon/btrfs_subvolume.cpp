#include "btrfs_subvolume.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "btrfs_quota.hpp"
#include "btrfs_tree.hpp"

namespace tslxc::btrfs {

namespace {
/** On an inner subvolume of a read-only snapshot: it was read-only in the source too. Guests cannot set trusted ones. xattr(7) */
constexpr const char *was_read_only = "trusted.tslxc.read-only";

struct Place {
	std::string dir;
	std::string name;
};

Place split_path(const std::string &path) {
	const std::size_t slash = path.rfind('/');
	return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

void set_name(btrfs_ioctl_vol_args_v2 &args, const std::string &name, const std::string &what) {
	if (name.empty() || name.size() > BTRFS_VOL_NAME_MAX) {
		throw_error("usage", cat(what, ": its name is longer than ", BTRFS_VOL_NAME_MAX, " bytes"));
	}
	std::memcpy(args.name, name.c_str(), name.size() + 1);
}

void snapshot_into(int from_fd, int dir_fd, const std::string &name, bool read_only, const std::string &shown) {
	const std::string what = cat("cannot make the snapshot '", shown, "'");
	btrfs_ioctl_vol_args_v2 args{};
	args.fd = from_fd;
	args.flags = read_only ? BTRFS_SUBVOL_RDONLY : 0;
	set_name(args, name, what);
	if (::ioctl(dir_fd, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0) {
		fail(what, shown, errno);
	}
}

Fd open_directory(int dir_fd, const std::string &name, const std::string &shown) {
	Fd fd(::openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!fd) {
		fail(cat("cannot open '", shown, "'"), shown, errno);
	}
	return fd;
}

struct Source {
	int fd;
	std::uint64_t id;
	/** The whole tree is a read-only snapshot: what its inner ones were before stands in their attribute. */
	bool sealed;
	const std::string &shown;
};

void fill(const Source &source, int target_fd, bool seal, const std::string &shown);

/** The directory of a path in the target, and its times: replacing an entry must not show. */
class Parent {
public:
	Parent(int target_fd, const std::string &dir, const std::string &shown)
		: fd_(dir.empty() ? Fd(::fcntl(target_fd, F_DUPFD_CLOEXEC, 0)) : open_directory(target_fd, dir, shown)) {
		if (!fd_ || ::fstat(fd_.get(), &status_) < 0) {
			fail(cat("cannot open '", shown, "'"), shown, errno);
		}
	}
	int fd() const { return fd_.get(); }
	void restore_times(const std::string &shown) const {
		const timespec times[] = {status_.st_atim, status_.st_mtim};
		if (::futimens(fd_.get(), times) < 0) {
			fail(cat("cannot set the times of '", shown, "'"), shown, errno);
		}
	}

private:
	Fd fd_;
	struct stat status_ {};
};

/** In the place of the empty directory that the outer snapshot left comes a snapshot of the inner subvolume. */
void snapshot_nested(const Source &outer, const Nested &nested, int target_fd, bool seal, const std::string &shown) {
	const std::string inside = cat(shown, "/", nested.path);
	const std::string inner_shown = cat(outer.shown, "/", nested.path);
	const Fd inner_fd = open_nested(outer.fd, nested, outer.shown);
	const bool read_only = is_read_only(inner_fd.get(), inner_shown);
	const bool before = outer.sealed ? ::fgetxattr(inner_fd.get(), was_read_only, nullptr, 0) >= 0 : read_only;

	const std::size_t slash = nested.path.rfind('/');
	const std::string dir = slash == std::string::npos ? "" : nested.path.substr(0, slash);
	const std::string name = slash == std::string::npos ? nested.path : nested.path.substr(slash + 1);
	const Parent parent(target_fd, dir, inside);
	if (::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
		fail(cat("cannot replace '", inside, "'"), inside, errno);
	}
	snapshot_into(inner_fd.get(), parent.fd(), name, false, inside);
	parent.restore_times(inside);
	const Fd made = open_directory(parent.fd(), name, inside);
	clear_limit(parent.fd(), subvolume_id(made.get(), inside));
	fill({inner_fd.get(), nested.id, outer.sealed, inner_shown}, made.get(), seal, inside);
	if (seal && before && ::fsetxattr(made.get(), was_read_only, "", 0, 0) < 0) {
		fail(cat("cannot set an attribute of '", inside, "'"), inside, errno);
	}
	if (!seal && ::fremovexattr(made.get(), was_read_only) < 0 && errno != ENODATA) {
		fail(cat("cannot remove an attribute of '", inside, "'"), inside, errno);
	}
	if (seal || before) {
		set_read_only(made.get(), true, inside);
	}
}

void fill(const Source &source, int target_fd, bool seal, const std::string &shown) {
	for (const Nested &nested : nested_in(source.fd, source.id, source.shown)) {
		snapshot_nested(source, nested, target_fd, seal, shown);
	}
}

/** The inner ones of a read-only subvolume can't be deleted: their names stand in it. */
void delete_tree(int fd, std::uint64_t id, const std::string &shown) {
	const std::vector<Nested> inner = nested_in(fd, id, shown);
	if (!inner.empty() && is_read_only(fd, shown)) {
		set_read_only(fd, false, shown);
	}
	for (const Nested &nested : inner) {
		delete_tree(open_nested(fd, nested, shown).get(), nested.id, cat(shown, "/", nested.path));
	}
	btrfs_ioctl_vol_args_v2 args{};
	args.flags = BTRFS_SUBVOL_SPEC_BY_ID;
	args.subvolid = id;
	if (::ioctl(fd, BTRFS_IOC_SNAP_DESTROY_V2, &args) < 0) {
		fail(cat("cannot delete the subvolume '", shown, "'"), shown, errno);
	}
}
} // namespace

void create_subvolume(const std::string &path) {
	const std::string what = cat("cannot create the subvolume '", path, "'");
	const Place place = split_path(path);
	const Fd dir = open_or_throw(place.dir, O_RDONLY | O_DIRECTORY);
	btrfs_ioctl_vol_args_v2 args{};
	set_name(args, place.name, what);
	if (::ioctl(dir.get(), BTRFS_IOC_SUBVOL_CREATE_V2, &args) < 0) {
		fail(what, path, errno);
	}
	const Fd made = open_directory(dir.get(), place.name, path);
	if (::fchown(made.get(), 0, 0) < 0 || ::fchmod(made.get(), 0755) < 0) {
		fail(what, path, errno);
	}
}

void snapshot_subvolume(const std::string &from, const std::string &to, bool read_only) {
	const Fd source = open_or_throw(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (!is_subvolume(source.get())) {
		throw_error("host", cat("cannot make a snapshot of '", from, "': it is not a btrfs subvolume"), "tslxc copy NAME NEWNAME");
	}
	const std::uint64_t id = subvolume_id(source.get(), from);
	const Place place = split_path(to);
	const Fd dir = open_or_throw(place.dir, O_RDONLY | O_DIRECTORY);
	const bool plain = nested_in(source.get(), id, from).empty();
	snapshot_into(source.get(), dir.get(), place.name, read_only && plain, to);
	try {
		const Fd made = open_directory(dir.get(), place.name, to);
		clear_limit(dir.get(), subvolume_id(made.get(), to));
		if (!plain) {
			fill({source.get(), id, is_read_only(source.get(), from), from}, made.get(), read_only, to);
			if (read_only) {
				set_read_only(made.get(), true, to);
			}
		}
	} catch (...) {
		delete_subvolume(to);
		throw;
	}
}

bool delete_subvolume(const std::string &path) {
	const Place place = split_path(path);
	const Fd dir(::open(place.dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!dir) {
		return false;
	}
	Fd fd(::openat(dir.get(), place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!fd || !is_subvolume(fd.get())) {
		return false;
	}
	const std::vector<std::uint64_t> ids = tree_ids(fd.get(), path);
	// Deleting takes metadata too, of which one at its limit has none left.
	forget_relations(dir.get(), ids);
	clear_limit(dir.get(), ids.front());
	delete_tree(fd.get(), ids.front(), path);
	fd.reset();
	remove_qgroups(dir.get(), ids);
	return true;
}

} // namespace tslxc::btrfs
