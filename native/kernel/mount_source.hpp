// From a source of the spec to a detached mount.
#pragma once

#include <sys/types.h>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"
#include "mount.hpp"

namespace tslxc {

/** Whose ids the mounts show. Without a user namespace: nobody's, they stay as they are. */
struct MountOwner {
	int userns_fd = -1;
	int userns_without_root_fd = -1;
	uid_t root_uid = 0; // the host's ids of the container's root
	gid_t root_gid = 0;
	bool may_fork = true; // false in a process with threads
};

/** Not idmapped but for the layers of an overlay, whose own mount can't be. */
Fd make_source_mount(const MountSource &source, const MountFlags &flags, const MountOwner &owner);
/** Builds an entry whole: detached, with flags and idmap; the caller moves it. */
Fd build_detached_mount(const MountEntry &entry, const MountOwner &owner);

} // namespace tslxc
