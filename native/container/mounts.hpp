// The mount plan: what the monitor builds detached, what init puts in place, and the way into the new root.
#pragma once

#include <string>

#include "../base/fd.hpp"
#include "../kernel/mount_source.hpp"
#include "../spec/spec.hpp"
#include "sync.hpp"

namespace tslxc {

/** Where the rootfs stands before pivot_root: spec.rootfs_mount, or RUN_BASE/rootfs, made when it is missing. In the first mount namespace
 *  nothing is ever mounted there. */
std::string rootfs_mount_point(const Spec &spec, const std::string &run_base);
bool has_rootfs(const Spec &spec);

/** Monitor: every `by: monitor` entry. An optional one whose source is missing comes back empty. */
DetachedMounts build_monitor_mounts(const Spec &spec, MountOwner owner);

/** Init: mounts are private from here on. */
void make_mounts_private();
/** Init: attaches the rootfs at a directory that was opened in this mount namespace. The descriptor of the mounted root. */
Fd attach_rootfs(const Spec &spec, MountsPacket &built, int directory_fd);
/** Init: all other entries in order. */
void attach_mounts(const Spec &spec, MountsPacket &built, int root_fd);
/** Init: the rootfs becomes `/`, the old root goes. */
void enter_rootfs(int root_fd);
/** Init, after enter_rootfs. */
void hide_paths(const SecurityPlan &security);

} // namespace tslxc
