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
	/** What a limit is compared with, `uncounted` included; absent where quotas are off. */
	std::optional<std::uint64_t> counted;
	/** Shown, but no quota counts it here: shared from another when it was cloned, or older than the quotas (simple quotas). */
	std::uint64_t uncounted = 0;
	std::optional<std::uint64_t> limit;
};

/** Switches quotas on where they are off, and waits until the numbers are right, which reads all metadata. */
QuotaMode enable_quota(const std::string &path);
/** Nothing: no limit. Quotas must be on for anything else. */
void set_limit(const std::string &path, std::optional<std::uint64_t> bytes);
/** After a flush: what was just written counts. */
Usage usage_of(const std::string &path);
/*
 * A change of quotas takes some metadata of the subvolume that the descriptor is in: of a full one EDQUOT. So `outside` is a
 * descriptor of the directory that it stands in.
 */
/** A snapshot begins with the limit of its source. */
void clear_limit(int outside, std::uint64_t id);
/** Takes subvolumes out of the groups that hold the limits of their trees, and removes those with their last members. */
void forget_relations(int outside, const std::vector<std::uint64_t> &ids);
/** Of subvolumes that are deleted. Newer kernels do so themselves when the space is free, and refuse before. */
void remove_qgroups(int outside, const std::vector<std::uint64_t> &ids);

/**
 * Referenced and uncounted bytes by the trees of the subvolumes; exclusive ones on request: it takes longer. `since`: of
 * QuotaState.
 */
void count_extents(int fd, const std::string &shown, std::uint64_t since, bool with_exclusive, Usage &usage);

} // namespace tslxc::btrfs
