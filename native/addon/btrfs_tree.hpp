// What the kernel knows about the subvolumes of a btrfs: ids, flags, who lies in whom. btrfs-ioctl(2), fs/btrfs/ioctl.c
#pragma once

#include <linux/btrfs.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../base/fd.hpp"

namespace tslxc::btrfs {

/** Quotas are off; count what a subvolume shows (qgroups); or what it wrote itself (simple quotas, Linux 6.7). */
enum class QuotaMode { off, full, simple };

struct QuotaState {
	QuotaMode mode = QuotaMode::off;
	/** The kernel gave up counting, or has not come to the end of it: the numbers are not right. */
	bool inconsistent = false;
	/** Extents of earlier transactions are nobody's (simple quotas). */
	std::uint64_t since = 0;
};

struct Nested {
	std::uint64_t id;
	/** Beneath the subvolume that it lies in. */
	std::string path;
};

/** Calls `found` for each item of a tree whose key is (objectid, type, first to last). False when there is no such tree. */
bool search_tree(int fd, std::uint64_t tree, const btrfs_ioctl_search_key &key,
				 const std::function<void(const btrfs_ioctl_search_header &, std::string_view)> &found);

/** On btrfs, by statfs(2). */
bool is_btrfs(int fd);
/** The root directory of a subvolume: its inode is 256. */
bool is_subvolume(int fd);
std::uint64_t subvolume_id(int fd, const std::string &shown);
bool is_read_only(int fd, const std::string &shown);
void set_read_only(int fd, bool read_only, const std::string &shown);
/** As text with dashes. */
std::string file_system_uuid(int fd, const std::string &shown);
QuotaState quota_state(int fd);

/** Those directly in a subvolume, by its tree: no walk. Needs CAP_SYS_ADMIN. */
std::vector<Nested> nested_in(int fd, std::uint64_t id, const std::string &shown);
/** A subvolume beneath another; no symlink is followed, and what is there must be the one meant. */
Fd open_nested(int parent_fd, const Nested &nested, const std::string &shown);
/** Ids of a subvolume and of all beneath it, parents first. */
std::vector<std::uint64_t> tree_ids(int fd, const std::string &shown);

/** Throws what a failed ioctl means to the one who has to act. `what` reads `cannot <verb> <object>`. */
[[noreturn]] void fail(const std::string &what, const std::string &path, int error_number);

} // namespace tslxc::btrfs
