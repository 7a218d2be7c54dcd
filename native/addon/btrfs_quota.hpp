// Limits by qgroups, and how much a subvolume takes. btrfs-quota(8)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "btrfs_tree.hpp"

namespace tslxc::btrfs {

struct Usage {
	QuotaMode mode = QuotaMode::off;
	/** On the disk, in this subvolume and those beneath it alone, and with what is shared with others. */
	std::uint64_t exclusive = 0, referenced = 0;
	/** What a limit is compared with; absent where quotas are off. */
	std::optional<std::uint64_t> counted;
	std::optional<std::uint64_t> limit;
};

/** Switches quotas on where they are off, and waits until the numbers are right, which reads all metadata. */
QuotaMode enable_quota(const std::string &path);
/** Nothing: no limit. Quotas must be on for anything else. */
void set_limit(const std::string &path, std::optional<std::uint64_t> bytes);
/** After a flush: what was just written counts. */
Usage usage_of(const std::string &path);
/** A snapshot begins with the limit of its source. */
void clear_limit(int fd);
/** Takes a subvolume out of the group that holds the limit of its tree, and removes the group with its last member. */
void forget_relation(int fd, std::uint64_t id);
/** Of subvolumes that are deleted. Newer kernels do so themselves when the space is free, and refuse before. */
void remove_qgroups(int fd, const std::vector<std::uint64_t> &ids);

/** By the trees of the subvolumes, where no quota counts. */
void count_extents(int fd, const std::string &shown, Usage &usage);

} // namespace tslxc::btrfs
