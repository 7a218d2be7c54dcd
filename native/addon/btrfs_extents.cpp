// How much a subvolume takes where no quota counts: its file extents by its tree, what is shared by FIEMAP.
#include <fcntl.h>
#include <linux/btrfs_tree.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <unordered_set>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "btrfs_quota.hpp"

namespace tslxc::btrfs {

namespace {
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();

struct Extent {
	std::uint64_t offset;
	/** 0: it stands in the metadata. */
	std::uint64_t address;
	std::uint64_t bytes;
	/** Of the transaction that wrote it. */
	std::uint64_t generation;
};

struct Count {
	Usage &usage;
	std::uint64_t since;
	bool with_exclusive;
	std::unordered_set<std::uint64_t> seen, own;
};

using Files = std::map<std::uint64_t, std::vector<Extent>>;

Files files_of(int fd, std::uint64_t tree) {
	Files files;
	btrfs_ioctl_search_key key{};
	key.min_objectid = BTRFS_FIRST_FREE_OBJECTID;
	key.max_objectid = BTRFS_LAST_FREE_OBJECTID;
	key.min_type = key.max_type = BTRFS_EXTENT_DATA_KEY;
	key.max_offset = highest;
	search_tree(fd, tree, key, [&](const btrfs_ioctl_search_header &header, std::string_view text) {
		constexpr std::size_t inline_start = offsetof(btrfs_file_extent_item, disk_bytenr);
		btrfs_file_extent_item item{};
		std::memcpy(&item, text.data(), std::min(text.size(), sizeof item));
		if (item.type == BTRFS_FILE_EXTENT_INLINE) {
			files[header.objectid].push_back({header.offset, 0, text.size() - std::min(text.size(), inline_start), item.generation});
		} else if (item.disk_bytenr != 0) { // else a hole
			files[header.objectid].push_back({header.offset, item.disk_bytenr, item.disk_num_bytes, item.generation});
		}
	});
	return files;
}

/** Absent: its path is too long to be asked for, or it was removed meanwhile. */
Fd open_inode(int fd, std::uint64_t inode) {
	btrfs_ioctl_ino_lookup_args lookup{};
	lookup.objectid = inode;
	if (::ioctl(fd, BTRFS_IOC_INO_LOOKUP, &lookup) < 0) {
		return Fd();
	}
	std::string path = lookup.name;
	if (path.ends_with('/')) {
		path.pop_back();
	}
	open_how how{};
	how.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
	return Fd(static_cast<int>(TEMP_FAILURE_RETRY(::syscall(SYS_openat2, fd, path.c_str(), &how, sizeof how))));
}

/** Ends of the ranges of a file that nobody else has, by their starts. */
std::map<std::uint64_t, std::uint64_t> own_ranges(int file) {
	constexpr std::uint32_t at_once = 256;
	constexpr std::size_t size = sizeof(fiemap) + at_once * sizeof(fiemap_extent);
	const auto memory = std::make_unique<std::uint64_t[]>(size / sizeof(std::uint64_t));
	auto *map = reinterpret_cast<fiemap *>(memory.get());
	std::map<std::uint64_t, std::uint64_t> ranges;
	for (std::uint64_t start = 0;;) {
		std::memset(static_cast<void *>(map), 0, size);
		map->fm_start = start;
		map->fm_length = highest - start;
		map->fm_extent_count = at_once;
		if (::ioctl(file, FS_IOC_FIEMAP, map) < 0 || map->fm_mapped_extents == 0) {
			return ranges;
		}
		for (std::uint32_t i = 0; i < map->fm_mapped_extents; i++) {
			const fiemap_extent &extent = map->fm_extents[i];
			if ((extent.fe_flags & FIEMAP_EXTENT_SHARED) == 0) {
				ranges[extent.fe_logical] = extent.fe_logical + extent.fe_length;
			}
			start = extent.fe_logical + extent.fe_length;
			if ((extent.fe_flags & FIEMAP_EXTENT_LAST) != 0) {
				return ranges;
			}
		}
	}
}

bool is_own(const std::map<std::uint64_t, std::uint64_t> &ranges, std::uint64_t offset) {
	auto range = ranges.upper_bound(offset);
	return range != ranges.begin() && (--range)->second > offset;
}

void count_file(int fd, std::uint64_t inode, std::uint64_t counted_from, const std::vector<Extent> &extents, Count &count) {
	std::optional<std::map<std::uint64_t, std::uint64_t>> own;
	for (const Extent &extent : extents) {
		if (extent.address == 0 || count.seen.insert(extent.address).second) {
			count.usage.referenced += extent.bytes;
			count.usage.uncounted += extent.generation < counted_from ? extent.bytes : 0;
		}
		if (extent.address == 0) {
			count.usage.exclusive += extent.bytes;
			continue;
		}
		if (!count.with_exclusive) {
			continue;
		}
		if (!own) {
			const Fd file = open_inode(fd, inode);
			own = file ? own_ranges(file.get()) : std::map<std::uint64_t, std::uint64_t>();
		}
		if (is_own(*own, extent.offset) && count.own.insert(extent.address).second) {
			count.usage.exclusive += extent.bytes;
		}
	}
}

/** Of a snapshot: what it began with counts for its source. The snapshot was made at the end of its transaction. */
std::uint64_t first_own_generation(int fd, const std::string &shown) {
	btrfs_ioctl_get_subvol_info_args info{};
	if (::ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0) {
		fail(cat("cannot look at the subvolume '", shown, "'"), shown, errno);
	}
	static constexpr std::uint8_t none[BTRFS_UUID_SIZE] = {};
	return std::memcmp(info.parent_uuid, none, sizeof none) == 0 ? 0 : info.otransid + 1;
}

void count_subvolume(int fd, std::uint64_t id, const std::string &shown, Count &count) {
	const std::uint64_t counted_from = std::max(count.since, first_own_generation(fd, shown));
	for (const auto &[inode, extents] : files_of(fd, id)) {
		count_file(fd, inode, counted_from, extents, count);
	}
	for (const Nested &nested : nested_in(fd, id, shown)) {
		count_subvolume(open_nested(fd, nested, shown).get(), nested.id, cat(shown, "/", nested.path), count);
	}
}
} // namespace

void count_extents(int fd, const std::string &shown, std::uint64_t since, bool with_exclusive, Usage &usage) {
	Count count{usage, since, with_exclusive, {}, {}};
	count_subvolume(fd, subvolume_id(fd, shown), shown, count);
}

} // namespace tslxc::btrfs
