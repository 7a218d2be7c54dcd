#include "block_mount.hpp"

#include <dirent.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <memory>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "syscalls.hpp"

namespace tslxc {

namespace {

constexpr int attempts = 64;

struct BlockDevice {
	Fd fd;
	std::string path;
};

struct Superblock {
	const char *type;
	off_t offset;
	std::string_view magic;
};
constexpr std::array superblocks{
	Superblock{"ext4", 0x438, "\x53\xef"}, // ext2 and ext3 too: the same driver serves them
	Superblock{"xfs", 0, "XFSB"},
	Superblock{"btrfs", 0x10040, "_BHRfS_M"},
};

bool is_missing(int error_number) {
	return error_number == ENOENT || error_number == ENXIO || error_number == ENODEV || error_number == ENOTDIR;
}

/** The file system of a device that is open. `shown`: what the user knows it by. */
Fd mount_device(const BlockDevice &device, const std::string &shown, const std::string &type, const MountFlags &flags) {
	const std::string found = type == "auto" ? file_system_type(device.fd.get()) : type;
	if (found.empty()) {
		throw_error("host", cat("cannot mount '", shown, "': there is no ext4, xfs or btrfs file system on it"), cat("blkid -p ", shown));
	}
	int read_only = 0;
	(void)::ioctl(device.fd.get(), BLKROGET, &read_only);
	try {
		// The superblock is writable where it can be: all mounts of a device share it, and refuse to differ in this (EBUSY).
		// xfs refuses a second one of the same UUID, which a copy has; that the device is another is sure here.
		const std::string access = read_only != 0 ? "ro" : "";
		return make_fs_mount(found, device.path, found == "xfs" ? cat(access, access.empty() ? "" : ",", "nouuid") : access, flags);
	} catch (SysError &error) {
		error.info().message = cat("cannot mount '", shown, "': ", error.info().message);
		if (error.info().hint.empty() && (error.info().error_number == EINVAL || error.info().error_number == EUCLEAN)) {
			error.info().hint = cat(found == "btrfs" ? "btrfs check " : found == "xfs" ? "xfs_repair -n " : "fsck -n ", shown);
		}
		throw;
	}
}

Fd open_image(const std::string &file, bool &read_only) {
	Fd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
	read_only = !fd && (errno == EROFS || errno == EACCES || errno == EPERM || errno == ETXTBSY);
	if (read_only) {
		fd.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
	}
	if (!fd) {
		throw_errno("mount", cat("cannot open the image '", file, "'"), errno,
					errno == ENOENT ? cat("truncate -s 10G ", file, " && mkfs.ext4 ", file) : "");
	}
	struct stat info {};
	if (::fstat(fd.get(), &info) < 0 || !S_ISREG(info.st_mode)) {
		throw_error("config", cat("cannot mount '", file, "': it is no file"), cat("ls -ld ", file));
	}
	return fd;
}

Fd open_loop_control() {
	Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
	if (!control) {
		throw_errno("mount", "cannot open /dev/loop-control", errno, is_missing(errno) ? "modprobe loop" : "");
	}
	return control;
}

bool shows(int loop_fd, const struct stat &image) {
	struct loop_info64 status {};
	return ::ioctl(loop_fd, LOOP_GET_STATUS64, &status) == 0 && status.lo_device == image.st_dev && status.lo_inode == image.st_ino &&
		   status.lo_offset == 0 && status.lo_sizelimit == 0;
}

/** Nothing: the file is on no loop device. Asked when the device is open already: from then on it can't go. */
BlockDevice find_loop(const struct stat &image) {
	const std::unique_ptr<DIR, int (*)(DIR *)> devices(::opendir("/sys/block"), ::closedir);
	for (const dirent *entry = nullptr; devices && (entry = ::readdir(devices.get())) != nullptr;) {
		const std::string name = entry->d_name;
		if (!name.starts_with("loop") || ::access(cat("/sys/block/", name, "/loop/backing_file").c_str(), F_OK) < 0) {
			continue;
		}
		const std::string path = cat("/dev/", name);
		Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
		if (fd && shows(fd.get(), image)) {
			return {std::move(fd), path};
		}
	}
	return {};
}

BlockDevice configure_loop(int image_fd, const std::string &file, bool read_only) {
	const Fd control = open_loop_control();
	for (int i = 0; i < attempts; i++) {
		const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
		if (number < 0) {
			throw_errno("mount", "cannot get a free loop device", errno, "losetup -a");
		}
		const std::string path = cat("/dev/loop", number);
		Fd fd(::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
		if (!fd) {
			throw_errno("mount", cat("cannot open '", path, "'"), errno,
						errno == ENOENT ? cat("mknod -m 660 ", path, " b 7 ", number) : "");
		}
		struct loop_config config {};
		config.fd = static_cast<std::uint32_t>(image_fd);
		config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
		std::strncpy(reinterpret_cast<char *>(config.info.lo_file_name), file.c_str(), LO_NAME_SIZE - 1);
		if (::ioctl(fd.get(), LOOP_CONFIGURE, &config) == 0) {
			return {std::move(fd), path};
		}
		if (errno != EBUSY) { // EBUSY: somebody else was faster
			throw_errno("mount", cat("cannot put '", file, "' on a loop device"));
		}
	}
	throw_error("busy", cat("cannot put '", file, "' on a loop device: others take each free one"), "losetup -a");
}

} // namespace

std::string loop_device_of(const std::string &file) {
	struct stat info {};
	if (::stat(file.c_str(), &info) < 0) {
		throw_errno("mount", cat("cannot look at '", file, "'"));
	}
	return find_loop(info).path;
}

void refresh_loop_size(const std::string &file) {
	struct stat info {};
	if (::stat(file.c_str(), &info) < 0) {
		throw_errno("mount", cat("cannot look at '", file, "'"));
	}
	const BlockDevice device = find_loop(info);
	if (device.fd && ::ioctl(device.fd.get(), LOOP_SET_CAPACITY, 0) < 0) {
		throw_errno("resize", cat("cannot tell '", device.path, "' its new size"));
	}
}

std::string file_system_type(int fd) {
	for (const Superblock &superblock : superblocks) {
		std::array<char, 8> bytes{};
		if (::pread(fd, bytes.data(), superblock.magic.size(), superblock.offset) == static_cast<ssize_t>(superblock.magic.size()) &&
			std::string_view(bytes.data(), superblock.magic.size()) == superblock.magic) {
			return superblock.type;
		}
	}
	return "";
}

std::string missing_device_hint(const std::string &device) {
	std::string group;
	if (device.starts_with("/dev/mapper/")) {
		// VG-LV; a hyphen within a name is doubled. lvm(8)
		const std::string name = device.substr(12);
		for (std::size_t i = 0; i < name.size(); i++) {
			if (name[i] == '-' && (i + 1 == name.size() || name[i + 1] != '-')) {
				return cat("vgchange -ay ", group);
			}
			i += name[i] == '-' ? 1 : 0;
			group += name[i];
		}
		return "lsblk";
	}
	const auto parts = split(device, '/');
	return parts.size() == 4 && parts[1] == "dev" && parts[2] != "disk" ? cat("vgchange -ay ", parts[2]) : "lsblk";
}

Fd make_block_mount(const std::string &device, const std::string &type, const MountFlags &flags) {
	BlockDevice opened{Fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC)), device};
	if (!opened.fd) {
		throw_errno("mount", cat("cannot open the device '", device, "'"), errno, is_missing(errno) ? missing_device_hint(device) : "");
	}
	struct stat info {};
	if (::fstat(opened.fd.get(), &info) < 0 || !S_ISBLK(info.st_mode)) {
		throw_error("config", cat("cannot mount '", device, "': it is no block device"), "lsblk");
	}
	return mount_device(opened, device, type, flags);
}

Fd make_loop_mount(const std::string &file, const std::string &type, const MountFlags &flags) {
	bool read_only = false;
	const Fd image = open_image(file, read_only);
	struct stat info {};
	if (::fstat(image.get(), &info) < 0) {
		throw_errno("mount", cat("cannot look at '", file, "'"));
	}
	// Two at once must not both find none. On an open file of its own: the loop device would keep a lock on `image`.
	const Fd lock(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
	if (!lock || TEMP_FAILURE_RETRY(::flock(lock.get(), LOCK_EX)) < 0) {
		throw_errno("mount", cat("cannot lock '", file, "'"));
	}
	BlockDevice device = find_loop(info);
	if (!device.fd) {
		device = configure_loop(image.get(), file, read_only);
	}
	return mount_device(device, file, type, flags);
}

} // namespace tslxc
