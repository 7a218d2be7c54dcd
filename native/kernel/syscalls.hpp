// System calls that older C libraries have no function for, and mount(2) without <sys/mount.h>, which collides with
// <linux/mount.h> before glibc 2.37.
#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace tslxc::sys {

inline constexpr int umount_detach = 2; // MNT_DETACH
inline constexpr int clone_pidfd_nonblock = 04000;

inline int open_tree(int dir_fd, const char *path, unsigned flags) {
	return static_cast<int>(::syscall(SYS_open_tree, dir_fd, path, flags));
}
inline int move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
	return static_cast<int>(::syscall(SYS_move_mount, from_fd, from, to_fd, to, flags));
}
inline int fsopen(const char *type, unsigned flags) {
	return static_cast<int>(::syscall(SYS_fsopen, type, flags));
}
inline int fsconfig(int fs_fd, unsigned command, const char *key, const void *value, int aux) {
	return static_cast<int>(::syscall(SYS_fsconfig, fs_fd, command, key, value, aux));
}
inline int fsmount(int fs_fd, unsigned flags, unsigned attributes) {
	return static_cast<int>(::syscall(SYS_fsmount, fs_fd, flags, attributes));
}
inline int mount_setattr(int dir_fd, const char *path, unsigned flags, struct mount_attr *attributes) {
	return static_cast<int>(::syscall(SYS_mount_setattr, dir_fd, path, flags, attributes, sizeof(*attributes)));
}
inline int openat2(int dir_fd, const char *path, struct open_how *how) {
	return static_cast<int>(::syscall(SYS_openat2, dir_fd, path, how, sizeof(*how)));
}
inline int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
	return static_cast<int>(::syscall(SYS_mount, source, target, type, flags, data));
}
inline int umount2(const char *target, int flags) {
	return static_cast<int>(::syscall(SYS_umount2, target, flags));
}
inline int pivot_root(const char *new_root, const char *put_old) {
	return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}
inline pid_t clone3(struct clone_args *arguments) {
	return static_cast<pid_t>(::syscall(SYS_clone3, arguments, sizeof(*arguments)));
}
inline int pidfd_open(pid_t pid, unsigned flags) {
	return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}
inline int pidfd_send_signal(int pidfd, int signal) {
	return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}
inline int close_range(unsigned first, unsigned last, unsigned flags) {
	return static_cast<int>(::syscall(SYS_close_range, first, last, flags));
}
inline long keyctl(int operation, unsigned long a, unsigned long b = 0, unsigned long c = 0) {
	return ::syscall(SYS_keyctl, operation, a, b, c, 0UL);
}

} // namespace tslxc::sys
