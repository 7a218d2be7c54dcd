// Overlay file systems, over idmapped layers where a user namespace sees them.
#pragma once

#include "../base/fd.hpp"
#include "../spec/spec.hpp"
#include "mount.hpp"
#include "mount_source.hpp"

namespace tslxc {

/** Detached. Without an upper layer it is read-only. A missing work directory is made. */
Fd make_overlay_mount(const MountSource &source, const MountFlags &flags, const MountOwner &owner);
/** The same by a short-lived child with a mount namespace of its own, for kernels before 6.15, which take no detached mounts as layers, and
 *  for those before 6.7, where all layers share one text of 255 bytes. */
Fd make_overlay_mount_in_child(const MountSource &source, const MountOwner &owner);
/** The same without a child: the calling thread stays in the mount namespace that it makes, and must end. */
Fd make_overlay_mount_in_own_namespace(const MountSource &source, const MountOwner &owner);

} // namespace tslxc
