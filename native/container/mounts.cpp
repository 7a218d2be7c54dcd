#include "mounts.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "../kernel/idmap.hpp"
#include "../kernel/mount.hpp"
#include "../kernel/mount_source.hpp"
#include "../kernel/syscalls.hpp"
#include "locked_mounts.hpp"

namespace tslxc {

namespace {

std::string describe(const MountEntry &entry) {
	switch (entry.source.kind) {
	case MountSource::Kind::fs:
		return cat(entry.source.type, " on ", entry.target);
	case MountSource::Kind::bind:
		return cat(entry.source.path, " on ", entry.target);
	case MountSource::Kind::overlay:
		return cat("an overlay of ", entry.source.lowers.size(), " layers on ", entry.target);
	case MountSource::Kind::loop:
	case MountSource::Kind::block:
		return cat(entry.source.path, " on ", entry.target);
	}
	return entry.target;
}

/** Runs a part of an entry's mount; its error names the entry, and is only logged for an optional one. */
void try_entry(const MountEntry &entry, const std::function<void()> &work) {
	try {
		work();
	} catch (SysError &error) {
		if (entry.optional) {
			log::debug("mount", cat("skipped ", describe(entry), ": ", error.info().message));
			return;
		}
		error.info().step = "mount";
		error.info().message = cat("cannot mount ", describe(entry), ": ", error.info().message);
		throw;
	}
}

unsigned long propagation_of(const std::string &name) {
	const std::string bare = name.starts_with('r') ? name.substr(1) : name;
	if (bare == "private") {
		return MS_PRIVATE;
	}
	if (bare == "shared") {
		return MS_SHARED;
	}
	if (bare == "slave") {
		return MS_SLAVE;
	}
	if (bare == "unbindable") {
		return MS_UNBINDABLE;
	}
	throw_error("config", cat("cannot mount with propagation '", name, "': it is unknown"));
}

Fd clone_inside(int root_fd, const MountSource &source) {
	const Fd inside = open_beneath(root_fd, source.path, O_PATH, true);
	Fd tree(sys::open_tree(inside.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (source.recursive ? AT_RECURSIVE : 0)));
	if (!tree) {
		throw_errno("mount", cat("cannot bind '", source.path, "' of the container"));
	}
	return tree;
}

/** A sysfs is a network namespace's: one that the container's user namespace does not own gives none (EPERM). The host's serves then. */
Fd build_sysfs(const MountEntry &entry) {
	try {
		return build_detached_mount(entry, {});
	} catch (const SysError &error) {
		if (error.info().error_number != EPERM) {
			throw;
		}
	}
	Fd mount = clone_tree("/sys", true);
	set_mount_attributes(mount.get(), parse_mount_flags(entry.flags), true);
	return mount;
}

Fd build_own_mount(const MountEntry &entry, int root_fd) {
	if (entry.source.kind == MountSource::Kind::fs && entry.source.type == "sysfs") {
		return build_sysfs(entry);
	}
	if (entry.source.kind != MountSource::Kind::bind || !entry.relative) {
		return build_detached_mount(entry, {});
	}
	Fd mount = clone_inside(root_fd, entry.source);
	set_mount_attributes(mount.get(), parse_mount_flags(entry.flags), false);
	return mount;
}

void put_in_place(const MountEntry &entry, int mount_fd, int root_fd) {
	const Fd target = make_target(root_fd, entry.target, entry.create);
	move_mount_to(mount_fd, target.get(), "");
	if (!entry.propagation.empty()) {
		set_mount_propagation(mount_fd, "", propagation_of(entry.propagation), entry.propagation.starts_with('r'));
	}
}

/** Empty: it was optional and is not there. */
Fd take_built(MountsPacket &built, int index) {
	const auto found = std::ranges::find(built.mounts, index, &BuiltMount::index);
	if (found == built.mounts.end()) {
		return {};
	}
	return found->locked ? open_locked(built.staging.get(), index) : std::move(found->fd);
}

void mask(const std::string &path) {
	struct stat info {};
	if (::lstat(path.c_str(), &info) < 0 || S_ISLNK(info.st_mode)) {
		return;
	}
	Fd cover;
	if (S_ISDIR(info.st_mode)) {
		MountFlags flags;
		flags.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
		cover = make_fs_mount("tmpfs", "none", "size=0,mode=0555", flags);
	} else {
		cover = clone_tree("/dev/null", false);
	}
	move_mount_to(cover.get(), AT_FDCWD, path.c_str());
}

void make_read_only(const std::string &path) {
	if (::access(path.c_str(), F_OK) < 0) {
		return;
	}
	const Fd tree = clone_tree(path, true);
	MountFlags flags;
	flags.set = MOUNT_ATTR_RDONLY;
	set_mount_attributes(tree.get(), flags, false);
	move_mount_to(tree.get(), AT_FDCWD, path.c_str());
}

} // namespace

bool has_rootfs(const Spec &spec) {
	return !spec.mounts.empty() && spec.mounts[0].target == "/";
}

std::string rootfs_mount_point(const Spec &spec, const std::string &run_base) {
	const std::string path = spec.rootfs_mount.empty() ? cat(run_base, "/rootfs") : spec.rootfs_mount;
	if (has_rootfs(spec) && ::access(path.c_str(), F_OK) < 0) {
		make_dirs(path, 0755);
	}
	return path;
}

DetachedMounts build_monitor_mounts(const Spec &spec, MountOwner owner) {
	DetachedMounts mounts;
	Fd without_root_fd;
	for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
		const MountEntry &entry = spec.mounts[i];
		if (!entry.by_monitor) {
			continue;
		}
		if (owner.userns_fd >= 0 && entry.idmap == MountEntry::Idmap::container_without_root && !without_root_fd) {
			without_root_fd = make_user_namespace(without_root(spec.idmap));
			owner.userns_without_root_fd = without_root_fd.get();
		}
		Fd mount;
		try_entry(entry, [&] { mount = build_detached_mount(entry, owner); });
		mounts.push_back({static_cast<int>(i), std::move(mount), wants_lock(spec, entry)});
	}
	return mounts;
}

void make_mounts_private() {
	if (sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
		throw_errno("mount", "cannot make the mounts private");
	}
}

Fd attach_rootfs(const Spec &spec, MountsPacket &built, int directory_fd) {
	if (!has_rootfs(spec)) {
		return open_or_throw("/", O_PATH | O_DIRECTORY);
	}
	const MountEntry &entry = spec.mounts[0];
	Fd root;
	try_entry(entry, [&] {
		root = entry.by_monitor ? std::move(built.mounts.at(0).fd) : build_own_mount(entry, directory_fd);
		move_mount_to(root.get(), directory_fd, "");
		if (!entry.propagation.empty()) {
			set_mount_propagation(root.get(), "", propagation_of(entry.propagation), entry.propagation.starts_with('r'));
		}
	});
	return root;
}

void attach_mounts(const Spec &spec, MountsPacket &built, int root_fd) {
	for (std::size_t i = has_rootfs(spec) ? 1 : 0; i < spec.mounts.size(); ++i) {
		const MountEntry &entry = spec.mounts[i];
		const int index = static_cast<int>(i);
		try_entry(entry, [&] {
			Fd mount = entry.by_monitor ? take_built(built, index) : build_own_mount(entry, root_fd);
			if (mount) {
				put_in_place(entry, mount.get(), root_fd);
			}
		});
	}
}

void enter_rootfs(int root_fd) {
	if (::fchdir(root_fd) < 0) {
		throw_errno("rootfs", "cannot enter the rootfs");
	}
	// The old root ends up on top of the new one at the same place, where umount finds it: no directory for it is needed. pivot_root(2)
	if (sys::pivot_root(".", ".") < 0) {
		throw_errno("rootfs", "cannot make the rootfs the root", errno,
					errno == EINVAL ? "the host's root is on an initramfs (rootfs): boot from a real file system" : "");
	}
	if (sys::umount2(".", sys::umount_detach) < 0 || ::chdir("/") < 0) {
		throw_errno("rootfs", "cannot leave the old root");
	}
}

void hide_paths(const SecurityPlan &security) {
	for (const std::string &path : security.readonly_paths) {
		make_read_only(path);
	}
	for (const std::string &path : security.masked_paths) {
		mask(path);
	}
}

} // namespace tslxc
