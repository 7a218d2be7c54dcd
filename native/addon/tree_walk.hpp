// Visits all entries of a tree on one mount with two open descriptors, however deep a guest nested it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>

namespace tslxc {

/**
 * `visit` gets the open directory, the name of the entry (`.` for the top) and its status; a directory comes before what
 * is in it. Follows no symlink, crosses no mount; what is gone meanwhile is left out. Throws SysError.
 */
void walk_tree(const std::string &path, const std::function<void(int dir_fd, const char *name, const struct statx &status)> &visit);

} // namespace tslxc
