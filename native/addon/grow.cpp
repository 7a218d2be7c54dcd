// growFilesystem: to the size of its device, while it is mounted, be it where no tool can see the mount.
#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {

constexpr std::uint32_t ext4_magic = 0xef53;
constexpr std::uint32_t xfs_magic = 0x58465342;
constexpr std::uint32_t btrfs_magic = 0x9123683e;

// ext4's and xfs's requests are in no header of the C library's.
constexpr unsigned long ext4_resize = _IOW('f', 16, std::uint64_t);

struct XfsGeometry {
	std::uint32_t block_size, rt_extent_size, ag_blocks, ag_count, log_blocks, sector_size, inode_size, inode_percent;
	std::uint64_t data_blocks, rt_blocks, rt_extents, log_start;
	unsigned char uuid[16];
	std::uint32_t stripe_unit, stripe_width;
	std::int32_t version;
	std::uint32_t flags, log_sector_size, rt_sector_size, directory_block_size;
};
struct XfsGrowth {
	std::uint64_t data_blocks;
	std::uint32_t inode_percent;
};
constexpr unsigned long xfs_geometry = _IOR('X', 100, XfsGeometry);
constexpr unsigned long xfs_grow = _IOW('X', 110, XfsGrowth);

void check(int result, const std::string &type) {
	if (result < 0) {
		throw_errno("resize", cat("cannot grow the file system: ", type, " refuses"));
	}
}

void grow_xfs(int fd, std::uint64_t bytes) {
	XfsGeometry geometry{};
	check(::ioctl(fd, xfs_geometry, &geometry), "xfs");
	XfsGrowth growth{bytes / geometry.block_size, geometry.inode_percent};
	if (growth.data_blocks > geometry.data_blocks) {
		check(::ioctl(fd, xfs_grow, &growth), "xfs");
	}
}

void grow_btrfs(int fd, std::uint64_t bytes) {
	// fs/btrfs/ioctl.c refuses with EINVAL alone.
	constexpr std::uint64_t mebibyte = 1 << 20, smallest = 256 * mebibyte;
	if (bytes < smallest) {
		throw_error("host", cat("cannot resize to ", std::to_string(bytes / mebibyte), " MiB: btrfs can't be resized below 256 MiB"),
					"make it 256 MiB or larger");
	}
	btrfs_ioctl_vol_args arguments{};
	std::strcpy(arguments.name, "max");
	const int result = ::ioctl(fd, BTRFS_IOC_RESIZE, &arguments);
	check(result, "btrfs");
	if (result > 0) {
		throw_error("busy", "cannot grow the file system: btrfs balances it or changes its devices", "btrfs balance status");
	}
}

void grow(const std::string &root, std::uint64_t bytes) {
	const Fd fd = open_or_throw(root, O_RDONLY | O_DIRECTORY);
	struct statfs status {};
	if (::fstatfs(fd.get(), &status) < 0) {
		throw_errno("resize", cat("cannot look at '", root, "'"));
	}
	switch (static_cast<std::uint32_t>(status.f_type)) {
	case ext4_magic: {
		std::uint64_t blocks = bytes / static_cast<std::uint64_t>(status.f_bsize);
		check(::ioctl(fd.get(), ext4_resize, &blocks), "ext4");
		break;
	}
	case xfs_magic:
		grow_xfs(fd.get(), bytes);
		break;
	case btrfs_magic:
		if (status.f_blocks * static_cast<std::uint64_t>(status.f_bsize) < bytes) {
			grow_btrfs(fd.get(), bytes);
		}
		break;
	default:
		throw_error("host", cat("cannot grow '", root, "': it is not ext4, xfs or btrfs"));
	}
}

class GrowJob : public Job {
public:
	GrowJob(Napi::Env env, std::string root, std::uint64_t bytes) : Job(env), root_(std::move(root)), bytes_(bytes) {}

private:
	void work() override { grow(root_, bytes_); }
	Napi::Value result(Napi::Env env) override { return env.Undefined(); }

	std::string root_;
	std::uint64_t bytes_;
};

Napi::Value grow_filesystem(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		const auto bytes = static_cast<std::uint64_t>(info[1].As<Napi::Number>().Int64Value());
		return start_job<GrowJob>(info.Env(), string_argument(info, 0), bytes);
	});
}

} // namespace

void export_grow(Napi::Env env, Napi::Object exports) {
	exports.Set("growFilesystem", Napi::Function::New(env, grow_filesystem, "growFilesystem"));
}

} // namespace tslxc::addon
