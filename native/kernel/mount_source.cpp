#include "mount_source.hpp"

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "block_mount.hpp"
#include "overlay_mount.hpp"
#include "syscalls.hpp"

namespace tslxc {

Fd make_source_mount(const MountSource &source, const MountFlags &flags, const MountOwner &owner) {
	switch (source.kind) {
	case MountSource::Kind::bind:
		return clone_tree(source.path, source.recursive);
	case MountSource::Kind::fs:
		return make_fs_mount(source.type, source.path, source.options, flags);
	case MountSource::Kind::overlay:
		return make_overlay_mount(source, flags, owner);
	case MountSource::Kind::loop:
		return make_loop_mount(source.path, source.type, flags);
	case MountSource::Kind::block:
		return make_block_mount(source.path, source.type, flags);
	}
	throw_error("internal", "cannot mount a source of an unknown kind");
}

Fd build_detached_mount(const MountEntry &entry, const MountOwner &owner) {
	const MountFlags flags = parse_mount_flags(entry.flags);
	const bool is_overlay = entry.source.kind == MountSource::Kind::overlay;
	const bool recursive = entry.source.kind == MountSource::Kind::bind && entry.source.recursive;
	const bool mapped = entry.idmap != MountEntry::Idmap::none && owner.userns_fd >= 0;
	if (is_overlay && entry.idmap == MountEntry::Idmap::container_without_root) {
		throw_error("config", cat("cannot mount '", entry.target, "': the layers of an overlay need the container's whole id map"));
	}
	Fd mount = make_source_mount(entry.source, flags, mapped ? owner : MountOwner{});
	set_mount_attributes(mount.get(), flags, recursive);
	// A clone of a shared mount is its peer: what the guest mounts below would show up on the host. mount_namespaces(7)
	if (entry.propagation.empty()) {
		set_mount_propagation(mount.get(), "", MS_PRIVATE, true);
	}
	if (mapped && !is_overlay) {
		const bool whole = entry.idmap == MountEntry::Idmap::container;
		set_mount_idmap(mount.get(), whole ? owner.userns_fd : owner.userns_without_root_fd, recursive);
	}
	return mount;
}

} // namespace tslxc
