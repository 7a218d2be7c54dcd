// Making, snapshotting and deleting subvolumes with those that lie in them.
#pragma once

#include <string>

namespace tslxc::btrfs {

/** An empty one, root's, 0755. */
void create_subvolume(const std::string &path);
/**
 * A snapshot of a subvolume and of all beneath it; after a failure nothing is left. A read-only one is read-only all through
 * and remembers which of the inner ones were so before: a writable one of it restores that.
 */
void snapshot_subvolume(const std::string &from, const std::string &to, bool read_only);
/**
 * Deletes a subvolume, those beneath it first, and their qgroups; the kernel frees the space later. False when there is
 * none at `path`: absent, or a plain directory.
 */
bool delete_subvolume(const std::string &path);

} // namespace tslxc::btrfs
