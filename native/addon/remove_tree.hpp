// Removing a tree by directory fds: follows no symlink, crosses no mount.
#pragma once

#include <string>

namespace tslxc {

/** Absent is success. Throws when something is mounted in it; what could be removed before that is gone. */
void remove_tree(const std::string &path);
/** The same for an entry of an open directory; `shown` is its path in messages. */
void remove_entry(int parent_fd, const std::string &name, const std::string &shown);

} // namespace tslxc
