// Flags that the guest's root can't take off again.
//
// A mount that is moved into a mount namespace of the container's own user namespace keeps flags that its root may change: `mount -o
// remount,bind,rw` would open a read-only share for writing, as the host's root where the idmap says so. Flags are locked only when a mount
// comes from a mount namespace of another user namespace: by copying the namespace, or by propagation. mount_namespaces(7). So:
//
//   monitor, in a mount namespace for the moment         init
//     tmpfs S, shared
//     clone of S (its peer)     ── with the mounts ─────▶  attaches it, makes it a slave
//                               ◀── staged ──────────────
//     moves each mount to S/N                              (each appears in its S/N, locked)
//                               ── locked ──────────────▶  moves each to its target
#pragma once

#include <string>
#include <vector>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"
#include "sync.hpp"

namespace tslxc {

/** True for an entry of an unprivileged container whose flags must hold against its root. */
bool wants_lock(const Spec &spec, const MountEntry &entry);

/** The monitor's half. The process is in another mount namespace as long as the object lives; working directory and root are restored. */
class LockedMounts {
public:
	/** `place`: any directory that exists; nothing of it is seen outside. */
	LockedMounts(const std::string &place, const DetachedMounts &mounts);
	~LockedMounts();
	LockedMounts(const LockedMounts &) = delete;
	LockedMounts &operator=(const LockedMounts &) = delete;
	int clone_fd() const { return clone_.get(); }
	void propagate(const DetachedMounts &mounts) const;

private:
	Fd own_namespace_, own_directory_, staging_, clone_;
};

/** Init's half: attaches the clone over a directory that the rootfs will cover, as a slave. */
void attach_staging(int clone_fd, int directory_fd);
/** The mount that has appeared there for position `index` of spec.mounts. */
Fd open_locked(int clone_fd, int index);

} // namespace tslxc
