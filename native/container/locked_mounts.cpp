#include "locked_mounts.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "../kernel/mount.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

bool wants_lock(const Spec &spec, const MountEntry &entry) {
	return spec.unprivileged() && entry.by_monitor && entry.target != "/" && parse_mount_flags(entry.flags).set != 0;
}

LockedMounts::LockedMounts(const std::string &place, const DetachedMounts &mounts)
	: own_namespace_(open_or_throw("/proc/self/ns/mnt", O_RDONLY)), own_directory_(open_or_throw(".", O_PATH | O_DIRECTORY)) {
	MountFlags flags;
	flags.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	staging_ = make_fs_mount("tmpfs", "none", "mode=0755", flags);
	for (const BuiltMount &mount : mounts) {
		struct stat info {};
		if (!mount.locked || ::fstat(mount.fd.get(), &info) < 0) {
			continue;
		}
		const std::string name = std::to_string(mount.index);
		const int made = S_ISDIR(info.st_mode) ? ::mkdirat(staging_.get(), name.c_str(), 0755)
											   : ::mknodat(staging_.get(), name.c_str(), S_IFREG | 0644, 0);
		if (made < 0) {
			throw_errno("mount", "cannot prepare the staging of mounts");
		}
	}
	if (::unshare(CLONE_NEWNS) < 0) {
		throw_errno("mount", "cannot make a mount namespace for the staging of mounts");
	}
	// The new namespace's mounts are peers of the host's until here. Resolved anew: a descriptor from before leads to the old namespace.
	if (sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
		throw_errno("mount", "cannot make the mounts private");
	}
	move_mount_to(staging_.get(), AT_FDCWD, place.c_str());
	set_mount_propagation(staging_.get(), "", MS_SHARED, false);
	clone_.reset(sys::open_tree(staging_.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	if (!clone_) {
		throw_errno("mount", "cannot clone the staging of mounts");
	}
}

LockedMounts::~LockedMounts() {
	if (::setns(own_namespace_.get(), CLONE_NEWNS) < 0 || ::fchdir(own_directory_.get()) < 0) {
		log::write(log::Level::error, "mount", "cannot return to the host's mount namespace");
	}
}

void LockedMounts::propagate(const DetachedMounts &mounts) const {
	for (const BuiltMount &mount : mounts) {
		if (mount.locked && mount.fd) {
			move_mount_to(mount.fd.get(), staging_.get(), std::to_string(mount.index).c_str());
		}
	}
}

void attach_staging(int clone_fd, int directory_fd) {
	move_mount_to(clone_fd, directory_fd, "");
	set_mount_propagation(clone_fd, "", MS_SLAVE, false);
}

Fd open_locked(int clone_fd, int index) {
	Fd mount(sys::open_tree(clone_fd, std::to_string(index).c_str(), OPEN_TREE_CLOEXEC));
	if (!mount) {
		throw_errno("mount", "cannot find a mount of the monitor's");
	}
	return mount;
}

} // namespace tslxc
