// Copies a tree with everything that is part of it. The walk is by directory fds and stays on one mount.
#pragma once

#include <string>

#include "copy_file.hpp"

namespace tslxc {

/** `to` is absent or an empty directory. What was copied stays when it throws; the caller removes it. */
void copy_tree(CopyContext &context, const std::string &from, const std::string &to);

} // namespace tslxc
