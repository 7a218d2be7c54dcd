#include "mount.hpp"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "idmap.hpp"
#include "syscalls.hpp"

namespace tslxc {

namespace {

struct FlagName {
	const char *name;
	unsigned long set, clear;
	const char *superblock; // key for fsconfig; null: a flag of the mount
};

// atime is a field of MOUNT_ATTR__ATIME, not a bit: to set it the whole field is cleared first. mount_setattr(2)
constexpr std::array flag_names{
	FlagName{"ro", MOUNT_ATTR_RDONLY, 0, nullptr},
	FlagName{"rw", 0, MOUNT_ATTR_RDONLY, nullptr},
	FlagName{"nosuid", MOUNT_ATTR_NOSUID, 0, nullptr},
	FlagName{"suid", 0, MOUNT_ATTR_NOSUID, nullptr},
	FlagName{"nodev", MOUNT_ATTR_NODEV, 0, nullptr},
	FlagName{"dev", 0, MOUNT_ATTR_NODEV, nullptr},
	FlagName{"noexec", MOUNT_ATTR_NOEXEC, 0, nullptr},
	FlagName{"exec", 0, MOUNT_ATTR_NOEXEC, nullptr},
	FlagName{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, nullptr},
	FlagName{"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, nullptr},
	FlagName{"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, nullptr},
	FlagName{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, nullptr},
	FlagName{"nodiratime", MOUNT_ATTR_NODIRATIME, 0, nullptr},
	FlagName{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, nullptr},
	FlagName{"sync", MS_SYNCHRONOUS, 0, "sync"},
	FlagName{"async", 0, 0, "async"},
	FlagName{"dirsync", MS_DIRSYNC, 0, "dirsync"},
	FlagName{"lazytime", MS_LAZYTIME, 0, "lazytime"},
};

/** What the kernel itself says about a failed fsconfig: lines `e text`. fsopen(2) */
std::string kernel_message(int fs_fd) {
	std::array<char, 512> line{};
	std::string text;
	for (ssize_t got; (got = ::read(fs_fd, line.data(), line.size())) > 2;) {
		if (line[0] == 'e') {
			text.assign(line.data() + 2, static_cast<std::size_t>(got) - 2);
		}
	}
	while (!text.empty() && (text.back() == '\n' || text.back() == '.')) {
		text.pop_back();
	}
	return text;
}

[[noreturn]] void throw_fs_error(int fs_fd, const std::string &what) {
	const int error_number = errno;
	const std::string said = kernel_message(fs_fd);
	ErrorInfo info;
	info.step = "mount";
	info.error_number = error_number;
	info.message = cat(what, ": ", std::strerror(error_number), said.empty() ? "" : cat(" (", said, ")"));
	throw SysError(info);
}

void set_fs_option(int fs_fd, const std::string &option, const std::string &what) {
	const auto equals = option.find('=');
	const int result = equals == std::string::npos
						   ? sys::fsconfig(fs_fd, FSCONFIG_SET_FLAG, option.c_str(), nullptr, 0)
						   : sys::fsconfig(fs_fd, FSCONFIG_SET_STRING, option.substr(0, equals).c_str(), option.c_str() + equals + 1, 0);
	if (result < 0) {
		throw_fs_error(fs_fd, cat(what, " with option '", option, "'"));
	}
}

std::string file_system_of(int fd) {
	struct statfs info {};
	if (::fstatfs(fd, &info) < 0) {
		return "its file system";
	}
	struct Magic {
		unsigned long number;
		const char *name;
	};
	for (const Magic &magic : {Magic{0x6969, "nfs"}, Magic{0x65735546, "fuse"}, Magic{0x794c7630, "overlay"}, Magic{0x2fc12fc1, "zfs"},
							   Magic{0x01021994, "tmpfs"}, Magic{0xff534d42, "cifs"}, Magic{0xfe534d42, "smb2"}, Magic{0x01021997, "9p"},
							   Magic{0xef53, "ext4"}, Magic{0x9123683e, "btrfs"}, Magic{0x58465342, "xfs"}}) {
		if (static_cast<unsigned long>(info.f_type) == magic.number) {
			return magic.name;
		}
	}
	return "its file system";
}

unsigned recursive_flag(bool recursive) {
	return AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
}

/** "a//b/./c/" → "a/b/c"; "/" → ".". `..` is refused: a target never needs it. */
std::string relative_path(const std::string &path) {
	std::string out;
	for (const std::string &part : split(path, '/')) {
		if (part.empty() || part == ".") {
			continue;
		}
		if (part == "..") {
			throw_error("config", cat("cannot use '", path, "' as a path in the container: it contains '..'"));
		}
		out += out.empty() ? part : cat('/', part);
	}
	return out.empty() ? "." : out;
}

int try_open_beneath(int root_fd, const std::string &relative, int flags, bool follow_symlinks, unsigned mode = 0644) {
	struct open_how how {};
	how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
	how.mode = (flags & O_CREAT) != 0 ? mode : 0;
	how.resolve = follow_symlinks ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	int fd;
	do {
		// EAGAIN: a rename or mount went on meanwhile. openat2(2)
		fd = sys::openat2(root_fd, relative.c_str(), &how);
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd;
}

/** Makes each missing directory of a path, by a descriptor of its parent. The last part too. */
Fd make_directories(int root_fd, const std::string &relative, const std::string &shown) {
	Fd here(try_open_beneath(root_fd, ".", O_PATH | O_DIRECTORY, false));
	for (const std::string &part : split(relative, '/')) {
		if (part == ".") {
			continue;
		}
		int next = try_open_beneath(here.get(), part, O_PATH | O_DIRECTORY, false);
		if (next < 0 && errno == ENOENT) {
			if (::mkdirat(here.get(), part.c_str(), 0755) < 0 && errno != EEXIST) {
				throw_errno("mount", cat("cannot make '", shown, "' in the container"));
			}
			next = try_open_beneath(here.get(), part, O_PATH | O_DIRECTORY, false);
		}
		if (next < 0) {
			throw_errno("mount", cat("cannot open '", shown, "' in the container"), errno,
						errno == ELOOP ? "give a mount target without symbolic links in its path" : "");
		}
		here.reset(next);
	}
	return here;
}

} // namespace

MountFlags parse_mount_flags(const std::vector<std::string> &flags) {
	MountFlags result;
	for (const std::string &flag : flags) {
		bool known = false;
		for (const FlagName &entry : flag_names) {
			if (flag != entry.name) {
				continue;
			}
			known = true;
			if (entry.superblock != nullptr) {
				result.superblock |= entry.set;
			} else {
				result.set = (result.set & ~entry.clear) | entry.set;
				result.clear = (result.clear & ~entry.set) | entry.clear;
			}
		}
		if (!known) {
			throw_error("config", cat("cannot mount with flag '", flag, "': it is unknown"));
		}
	}
	return result;
}

Fd clone_tree(const std::string &path, bool recursive) {
	Fd tree(sys::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0)));
	if (!tree) {
		throw_errno("mount", cat("cannot mount '", path, "'"), errno, errno == ENOENT ? cat("create it: mkdir -p ", path) : "");
	}
	return tree;
}

Fd make_fs_mount(const std::string &type, const std::string &source, const std::string &options, const MountFlags &flags) {
	const std::string what = cat("cannot mount a file system of type '", type, "'");
	Fd context(sys::fsopen(type.c_str(), FSOPEN_CLOEXEC));
	if (!context) {
		throw_errno("mount", what, errno, errno == ENODEV ? cat("this kernel has no ", type, ": try modprobe ", type) : "");
	}
	if (!source.empty() && sys::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) < 0) {
		throw_fs_error(context.get(), cat(what, " from '", source, "'"));
	}
	for (const FlagName &entry : flag_names) {
		if (entry.superblock != nullptr && (flags.superblock & entry.set) != 0) {
			set_fs_option(context.get(), entry.superblock, what);
		}
	}
	for (const std::string &option : split(options, ',')) {
		if (!option.empty()) {
			set_fs_option(context.get(), option, what);
		}
	}
	if (sys::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
		throw_fs_error(context.get(), what);
	}
	Fd mount(sys::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(flags.set)));
	if (!mount) {
		throw_fs_error(context.get(), what);
	}
	return mount;
}

void set_mount_attributes(int mount_fd, const MountFlags &flags, bool recursive) {
	if (flags.set == 0 && flags.clear == 0) {
		return;
	}
	struct mount_attr attributes {};
	attributes.attr_set = flags.set;
	attributes.attr_clr = flags.clear;
	if (sys::mount_setattr(mount_fd, "", recursive_flag(recursive), &attributes) < 0) {
		throw_errno("mount", "cannot set the flags of a mount");
	}
}

void set_mount_idmap(int mount_fd, int userns_fd, bool recursive) {
	struct mount_attr attributes {};
	attributes.attr_set = MOUNT_ATTR_IDMAP;
	attributes.userns_fd = static_cast<std::uint64_t>(userns_fd);
	if (sys::mount_setattr(mount_fd, "", recursive_flag(recursive), &attributes) < 0) {
		const int error_number = errno;
		throw_errno(
			"mount", cat("cannot map the ids of a mount of ", file_system_of(mount_fd)), error_number,
			error_number == EINVAL || error_number == EPERM
				? "this file system has no idmapped mounts: create the container with --privileged, or keep it on ext4, xfs or btrfs"
				: "");
	}
}

void set_mount_propagation(int dir_fd, const char *path, unsigned long propagation, bool recursive) {
	struct mount_attr attributes {};
	attributes.propagation = propagation;
	if (sys::mount_setattr(dir_fd, path, recursive_flag(recursive), &attributes) < 0) {
		throw_errno("mount", "cannot set the propagation of a mount");
	}
}

void move_mount_to(int mount_fd, int dir_fd, const char *path) {
	if (sys::move_mount(mount_fd, "", dir_fd, path, MOVE_MOUNT_F_EMPTY_PATH | (*path == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0)) < 0) {
		throw_errno("mount", "cannot attach a mount");
	}
}

Fd open_beneath(int root_fd, const std::string &path, int flags, bool follow_symlinks) {
	Fd fd(try_open_beneath(root_fd, follow_symlinks ? path : relative_path(path), flags, follow_symlinks));
	if (!fd) {
		throw_errno("open", cat("cannot open '", path, "' in the container"));
	}
	return fd;
}

Fd make_target(int root_fd, const std::string &path, const std::string &create) {
	const std::string relative = relative_path(path);
	Fd target(try_open_beneath(root_fd, relative, O_PATH, false));
	if (target) {
		return target;
	}
	if (errno == ENOENT && create == "dir") {
		return make_directories(root_fd, relative, path);
	}
	if (errno == ENOENT && create == "file") {
		const auto slash = relative.rfind('/');
		const std::string name = slash == std::string::npos ? relative : relative.substr(slash + 1);
		Fd parent = make_directories(root_fd, slash == std::string::npos ? "." : relative.substr(0, slash), path);
		if (::mknodat(parent.get(), name.c_str(), S_IFREG | 0644, 0) == 0 || errno == EEXIST) {
			target.reset(try_open_beneath(parent.get(), name, O_PATH, false));
			if (target) {
				return target;
			}
		}
	}
	const int error_number = errno;
	throw_errno("mount", cat("cannot use '", path, "' in the container as a mount point"), error_number,
				error_number == ENOENT	? "add create=dir or create=file to the entry"
				: error_number == ELOOP ? "give a mount target without symbolic links in its path"
										: "");
}

Fd make_user_namespace(const std::vector<IdRange> &ranges) {
	int ready[2];
	if (::pipe2(ready, O_CLOEXEC) < 0) {
		throw_errno("user-namespace", "cannot make a pipe");
	}
	Fd wait_end(ready[0]), hold_end(ready[1]);
	struct clone_args arguments {};
	arguments.flags = CLONE_NEWUSER;
	arguments.exit_signal = SIGCHLD;
	const pid_t child = sys::clone3(&arguments);
	if (child < 0) {
		throw_errno("user-namespace", "cannot make a user namespace");
	}
	if (child == 0) {
		::close(hold_end.release());
		char byte;
		(void)!::read(wait_end.get(), &byte, 1);
		::_exit(0);
	}
	struct Reaper {
		pid_t pid;
		Fd &hold;
		~Reaper() {
			hold.reset();
			::waitpid(pid, nullptr, 0);
		}
	} reaper{child, hold_end};
	write_id_maps(child, ranges);
	Fd userns(::open(cat("/proc/", child, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
	if (!userns) {
		throw_errno("user-namespace", "cannot open a user namespace");
	}
	return userns;
}

} // namespace tslxc
