// The files that follow from the configuration, written by init inside the container, with its ids.
#pragma once

#include <string>
#include <string_view>

#include "../spec/spec.hpp"

namespace tslxc {

/** `old` with our marked lines replaced by `content`, or added at the end; with content empty, taken out. */
std::string with_block(std::string_view old, std::string_view content);
/** After pivot_root. Each file is written beside and renamed over, only where it differs; a read-only file system is a warning. */
void write_guest_files(const std::vector<GuestFile> &files);

} // namespace tslxc
