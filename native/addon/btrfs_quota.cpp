#include "btrfs_quota.hpp"

#include <fcntl.h>
#include <linux/btrfs_tree.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"

namespace tslxc::btrfs {

namespace {
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
constexpr int level_shift = 48;
// Of the groups that hold the limit of a whole tree under simple quotas. High, so that it is nobody's by chance.
constexpr std::uint64_t tree_level = 200;

constexpr std::uint64_t tree_group(std::uint64_t id) {
	return tree_level << level_shift | id;
}

Fd open_subvolume(const std::string &path) {
	Fd fd = open_or_throw(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (!is_subvolume(fd.get())) {
		throw_error("host", cat("cannot use '", path, "': it is not a btrfs subvolume"));
	}
	return fd;
}

int change_group(int fd, std::uint64_t group, bool create) {
	btrfs_ioctl_qgroup_create_args args{};
	args.create = create ? 1 : 0;
	args.qgroupid = group;
	return ::ioctl(fd, BTRFS_IOC_QGROUP_CREATE, &args);
}

int change_relation(int fd, std::uint64_t member, std::uint64_t group, bool assign) {
	btrfs_ioctl_qgroup_assign_args args{};
	args.assign = assign ? 1 : 0;
	args.src = member;
	args.dst = group;
	return ::ioctl(fd, BTRFS_IOC_QGROUP_ASSIGN, &args);
}

int limit_group(int fd, std::uint64_t group, std::optional<std::uint64_t> bytes) {
	btrfs_ioctl_qgroup_limit_args args{};
	args.qgroupid = group;
	args.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
	args.lim.max_rfer = bytes.value_or(highest); // the kernel's word for none
	return ::ioctl(fd, BTRFS_IOC_QGROUP_LIMIT, &args);
}

template <typename Item> std::optional<Item> group_item(int fd, std::uint32_t type, std::uint64_t group) {
	std::optional<Item> result;
	btrfs_ioctl_search_key key{};
	key.min_type = key.max_type = type;
	key.min_offset = key.max_offset = group;
	search_tree(fd, BTRFS_QUOTA_TREE_OBJECTID, key, [&](const btrfs_ioctl_search_header &header, std::string_view item) {
		if (header.offset == group && item.size() >= sizeof(Item)) {
			Item value;
			std::memcpy(&value, item.data(), sizeof value);
			result = value;
		}
	});
	return result;
}

void limit_tree(int fd, const std::string &path, std::optional<std::uint64_t> bytes) {
	const std::string what = cat("cannot limit the size of '", path, "'");
	const std::vector<std::uint64_t> ids = tree_ids(fd, path);
	const std::uint64_t group = tree_group(ids.front());
	if (!bytes) {
		for (const std::uint64_t id : ids) {
			change_relation(fd, id, group, false);
		}
		if (change_group(fd, group, false) < 0 && errno != ENOENT) {
			fail(what, path, errno);
		}
		return;
	}
	if (change_group(fd, group, true) < 0 && errno != EEXIST) {
		fail(what, path, errno);
	}
	for (const std::uint64_t id : ids) {
		if (change_relation(fd, id, group, true) < 0 && errno != EEXIST) {
			fail(what, path, errno);
		}
	}
	if (limit_group(fd, group, bytes) < 0) {
		fail(what, path, errno);
	}
}
} // namespace

QuotaMode enable_quota(const std::string &path) {
	const std::string what = cat("cannot switch on the quotas of the btrfs at '", path, "'");
	const Fd fd = open_subvolume(path);
	QuotaState state = quota_state(fd.get());
	if (state.mode == QuotaMode::off) {
		btrfs_ioctl_quota_ctl_args args{};
		args.cmd = BTRFS_QUOTA_CTL_ENABLE;
		if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &args) < 0 && errno != EEXIST) {
			fail(what, path, errno);
		}
	} else if (state.inconsistent) {
		btrfs_ioctl_quota_rescan_args args{};
		if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN, &args) < 0 && errno != EINPROGRESS) {
			fail(what, path, errno);
		}
	}
	if (state.mode != QuotaMode::simple && ::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN_WAIT) < 0) {
		fail(what, path, errno);
	}
	return quota_state(fd.get()).mode;
}

void set_limit(const std::string &path, std::optional<std::uint64_t> bytes) {
	const Fd fd = open_subvolume(path);
	const QuotaMode mode = quota_state(fd.get()).mode;
	if (mode == QuotaMode::off && !bytes) {
		return;
	}
	if (mode == QuotaMode::simple) {
		limit_tree(fd.get(), path, bytes);
	} else if (limit_group(fd.get(), subvolume_id(fd.get(), path), bytes) < 0) {
		fail(cat("cannot limit the size of '", path, "'"), path, errno);
	}
}

Usage usage_of(const std::string &path) {
	const Fd fd = open_subvolume(path);
	if (::syncfs(fd.get()) < 0) {
		fail(cat("cannot flush '", path, "'"), path, errno);
	}
	Usage usage;
	const QuotaState state = quota_state(fd.get());
	usage.mode = state.mode;
	const std::vector<std::uint64_t> ids = tree_ids(fd.get(), path);
	if (state.mode != QuotaMode::off) {
		std::uint64_t exclusive = 0, referenced = 0;
		for (const std::uint64_t id : ids) {
			if (const auto info = group_item<btrfs_qgroup_info_item>(fd.get(), BTRFS_QGROUP_INFO_KEY, id)) {
				exclusive += info->excl;
				referenced += info->rfer;
				// A limit under full quotas is the outer subvolume's alone.
				usage.counted = state.mode == QuotaMode::simple || id == ids.front() ? referenced : usage.counted;
			}
		}
		const std::uint64_t holder = state.mode == QuotaMode::simple ? tree_group(ids.front()) : ids.front();
		const auto limit = group_item<btrfs_qgroup_limit_item>(fd.get(), BTRFS_QGROUP_LIMIT_KEY, holder);
		if (limit && (limit->flags & BTRFS_QGROUP_LIMIT_MAX_RFER) != 0 && limit->max_rfer != highest) {
			usage.limit = limit->max_rfer;
		}
		if (state.mode == QuotaMode::full && !state.inconsistent) {
			usage.exclusive = exclusive;
			usage.referenced = referenced;
			return usage;
		}
	}
	count_extents(fd.get(), path, usage);
	return usage;
}

void clear_limit(int fd) {
	if (limit_group(fd, 0, std::nullopt) < 0 && errno != ENOTCONN && errno != ENOENT) {
		throw_errno("btrfs", "cannot take the limit of its source from a snapshot");
	}
}

void forget_relation(int fd, std::uint64_t id) {
	std::vector<std::uint64_t> groups;
	btrfs_ioctl_search_key key{};
	key.min_objectid = key.max_objectid = id;
	key.min_type = key.max_type = BTRFS_QGROUP_RELATION_KEY;
	key.max_offset = highest;
	search_tree(fd, BTRFS_QUOTA_TREE_OBJECTID, key, [&](const btrfs_ioctl_search_header &header, std::string_view) {
		if (header.offset >> level_shift == tree_level) {
			groups.push_back(header.offset);
		}
	});
	for (const std::uint64_t group : groups) {
		change_relation(fd, id, group, false);
		change_group(fd, group, false); // refused while it has members
	}
}

void remove_qgroups(int fd, const std::vector<std::uint64_t> &ids) {
	for (const std::uint64_t id : ids) {
		if (change_group(fd, id, false) < 0 && errno == ENOTCONN) {
			return;
		}
	}
}

} // namespace tslxc::btrfs
