// Mounts of file systems on block devices and in image files.
#pragma once

#include <string>

#include "../base/fd.hpp"
#include "mount.hpp"

namespace tslxc {

/** `type`: ext4, xfs, btrfs …, or `auto`: what the superblock says. */
Fd make_block_mount(const std::string &device, const std::string &type, const MountFlags &flags);
/** Through a loop device that goes with its last user. Where the file has one already, that serves: two would not know of each other's
 *  writes. A file that can't be written is mounted read-only. */
Fd make_loop_mount(const std::string &file, const std::string &type, const MountFlags &flags);

/** The loop device that shows the file, empty: none. */
std::string loop_device_of(const std::string &file);
/** After the file has grown: its loop device, if any, grows too. */
void refresh_loop_size(const std::string &file);

/** The types `auto` knows, by their superblock at the start of `fd`; empty: none of them. */
std::string file_system_type(int fd);
/** What to type when the device is not there: volume groups may be inactive. */
std::string missing_device_hint(const std::string &device);

} // namespace tslxc
