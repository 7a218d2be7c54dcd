#include "btrfs_quota.hpp"

#include <fcntl.h>
#include <linux/btrfs_tree.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"

namespace tslxc::btrfs {

namespace {
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
// BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA, Linux 6.7
constexpr std::uint64_t enable_simple = 4;
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

/** The directory that a subvolume stands in. */
Fd open_outside(const std::string &path) {
	const std::size_t slash = path.rfind('/');
	return open_or_throw(slash == 0 ? "/" : path.substr(0, slash), O_RDONLY | O_DIRECTORY);
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

/** What is not counted is taken off the limit: so it holds for all that the subvolume shows. */
void limit_tree(int fd, const std::string &path, std::uint64_t since, std::optional<std::uint64_t> bytes) {
	const std::string what = cat("cannot limit the size of '", path, "'");
	const std::vector<std::uint64_t> ids = tree_ids(fd, path);
	const std::uint64_t group = tree_group(ids.front());
	const Fd outside = open_outside(path);
	if (!bytes) {
		forget_relations(outside.get(), ids);
		if (change_group(outside.get(), group, false) < 0 && errno != ENOENT) {
			fail(what, path, errno);
		}
		return;
	}
	if (change_group(outside.get(), group, true) < 0 && errno != EEXIST) {
		fail(what, path, errno);
	}
	for (const std::uint64_t id : ids) {
		if (change_relation(outside.get(), id, group, true) < 0 && errno != EEXIST) {
			fail(what, path, errno);
		}
	}
	Usage usage;
	count_extents(fd, path, since, false, usage);
	if (limit_group(outside.get(), group, *bytes - std::min(*bytes, usage.uncounted)) < 0) {
		fail(what, path, errno);
	}
}

std::optional<std::uint64_t> limit_of(int fd, std::uint64_t group) {
	const auto limit = group_item<btrfs_qgroup_limit_item>(fd, BTRFS_QGROUP_LIMIT_KEY, group);
	if (!limit || (limit->flags & BTRFS_QGROUP_LIMIT_MAX_RFER) == 0 || limit->max_rfer == highest) {
		return std::nullopt;
	}
	return limit->max_rfer;
}
} // namespace

QuotaMode enable_quota(const std::string &path) {
	const std::string what = cat("cannot switch on the quotas of the btrfs at '", path, "'");
	const Fd fd = open_subvolume(path);
	QuotaState state = quota_state(fd.get());
	if (state.mode == QuotaMode::off) {
		btrfs_ioctl_quota_ctl_args args{};
		args.cmd = enable_simple;
		if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &args) < 0 && errno == EINVAL) {
			args.cmd = BTRFS_QUOTA_CTL_ENABLE;
			if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &args) < 0 && errno != EEXIST) {
				fail(what, path, errno);
			}
		} else if (quota_state(fd.get()).mode == QuotaMode::off) {
			fail(what, path, errno);
		}
	} else if (state.inconsistent) {
		btrfs_ioctl_quota_rescan_args args{};
		if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN, &args) < 0 && errno != EINPROGRESS) {
			fail(what, path, errno);
		}
	}
	state = quota_state(fd.get());
	if (state.mode == QuotaMode::full && ::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN_WAIT) < 0) {
		fail(what, path, errno);
	}
	return state.mode;
}

void set_limit(const std::string &path, std::optional<std::uint64_t> bytes) {
	const Fd fd = open_subvolume(path);
	const QuotaState state = quota_state(fd.get());
	if (state.mode == QuotaMode::off && !bytes) {
		return;
	}
	if (state.mode == QuotaMode::simple) {
		limit_tree(fd.get(), path, state.since, bytes);
	} else if (limit_group(open_outside(path).get(), subvolume_id(fd.get(), path), bytes) < 0) {
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
	const bool simple = state.mode == QuotaMode::simple;
	usage.mode = state.mode;
	std::uint64_t exclusive = 0, referenced = 0;
	const std::vector<std::uint64_t> ids = tree_ids(fd.get(), path);
	for (const std::uint64_t id : ids) {
		if (const auto info = group_item<btrfs_qgroup_info_item>(fd.get(), BTRFS_QGROUP_INFO_KEY, id)) {
			exclusive += info->excl;
			referenced += info->rfer;
			// A limit under full quotas is the outer subvolume's alone.
			usage.counted = simple || id == ids.front() ? referenced : usage.counted;
		}
	}
	usage.limit = limit_of(fd.get(), simple ? tree_group(ids.front()) : ids.front());
	if (state.mode == QuotaMode::full && !state.inconsistent) {
		usage.exclusive = exclusive;
		usage.referenced = referenced;
		return usage;
	}
	count_extents(fd.get(), path, state.since, true, usage);
	if (usage.counted) {
		*usage.counted += usage.uncounted;
	}
	if (usage.limit) {
		*usage.limit += usage.uncounted;
	}
	return usage;
}

void clear_limit(int outside, std::uint64_t id) {
	if (limit_group(outside, id, std::nullopt) < 0 && errno != ENOTCONN && errno != ENOENT) {
		throw_errno("btrfs", "cannot take the limit off a subvolume");
	}
}

void forget_relations(int outside, const std::vector<std::uint64_t> &ids) {
	for (const std::uint64_t id : ids) {
		std::vector<std::uint64_t> groups;
		btrfs_ioctl_search_key key{};
		key.min_objectid = key.max_objectid = id;
		key.min_type = key.max_type = BTRFS_QGROUP_RELATION_KEY;
		key.max_offset = highest;
		search_tree(outside, BTRFS_QUOTA_TREE_OBJECTID, key, [&](const btrfs_ioctl_search_header &header, std::string_view) {
			if (header.offset >> level_shift == tree_level) {
				groups.push_back(header.offset);
			}
		});
		for (const std::uint64_t group : groups) {
			change_relation(outside, id, group, false);
			change_group(outside, group, false); // refused while it has members
		}
	}
}

void remove_qgroups(int outside, const std::vector<std::uint64_t> &ids) {
	for (const std::uint64_t id : ids) {
		if (change_group(outside, id, false) < 0 && errno == ENOTCONN) {
			return;
		}
	}
}

} // namespace tslxc::btrfs
