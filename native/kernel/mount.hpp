// The mount API by system calls: detached mounts, idmaps, confined path resolution.
#pragma once

#include <string>
#include <vector>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

struct MountFlags {
	unsigned long set = 0;		  // MOUNT_ATTR_* to set
	unsigned long clear = 0;	  // MOUNT_ATTR_* to clear
	unsigned long superblock = 0; // MS_SYNCHRONOUS … for fsconfig
};
/** Throws SysError "config" on an unknown flag. */
MountFlags parse_mount_flags(const std::vector<std::string> &flags);

/** open_tree(OPEN_TREE_CLONE), recursive on request. */
Fd clone_tree(const std::string &path, bool recursive);
/** fsopen, fsconfig each `key[=value]`, fsmount. The kernel's own message (fscontext log) goes into the error. */
Fd make_fs_mount(const std::string &type, const std::string &source, const std::string &options, const MountFlags &flags);
void set_mount_attributes(int mount_fd, const MountFlags &flags, bool recursive);
void set_mount_idmap(int mount_fd, int userns_fd, bool recursive);
void set_mount_propagation(int dir_fd, const char *path, unsigned long propagation, bool recursive);
void move_mount_to(int mount_fd, int dir_fd, const char *path);
/** Resolves beneath root_fd (RESOLVE_IN_ROOT for guests' own paths, RESOLVE_BENEATH|NO_SYMLINKS for mount targets); makes missing parts by
 * mkdirat on that fd. */
Fd open_beneath(int root_fd, const std::string &path, int flags, bool follow_symlinks);
Fd make_target(int root_fd, const std::string &path, const std::string &create);

/** A user namespace with these ranges, by a short-lived child; the fd keeps it. For idmapped shares without root. */
Fd make_user_namespace(const std::vector<IdRange> &ranges);

} // namespace tslxc
