// Owner, mode and extended attributes, shifted where they hold ids.
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "copy_file.hpp"

namespace tslxc {

namespace {
// The stored form of a POSIX ACL: a version, then entries. linux/posix_acl_xattr.h
constexpr std::size_t acl_header_bytes = 4, acl_entry_bytes = 8;
constexpr std::uint16_t acl_user = 0x02, acl_group = 0x08;

std::uint32_t shifted(const CopyContext &context, std::uint32_t id) {
	return static_cast<std::uint32_t>(static_cast<std::int64_t>(id) + context.shift);
}

/** Attributes that belong to a file's content or protection. The rest (selinux, btrfs.*, ima) is the file system's own business. */
bool is_copied(std::string_view name) {
	// xfs shows its ACLs a second time in its own form: trusted.SGI_ACL_FILE.
	const bool is_trusted = name.starts_with("trusted.") && !name.starts_with("trusted.SGI_");
	return name.starts_with("user.") || is_trusted || name == "security.capability" || name == "system.posix_acl_access" ||
		   name == "system.posix_acl_default";
}

void shift_acl(const CopyContext &context, std::string &value) {
	for (std::size_t at = acl_header_bytes; at + acl_entry_bytes <= value.size(); at += acl_entry_bytes) {
		std::uint16_t tag = 0;
		std::uint32_t id = 0;
		std::memcpy(&tag, value.data() + at, sizeof tag);
		std::memcpy(&id, value.data() + at + 4, sizeof id);
		if (le16toh(tag) == acl_user || le16toh(tag) == acl_group) {
			id = htole32(shifted(context, le32toh(id)));
			std::memcpy(value.data() + at + 4, &id, sizeof id);
		}
	}
}

/**
 * A revision 3 capability names the root it is valid under; revision 2 is that of the host's, and names none.
 * capabilities(7)
 */
void shift_capability(const CopyContext &context, std::string &value) {
	vfs_ns_cap_data data{}; // the older form is its beginning
	if (value.size() != XATTR_CAPS_SZ_2 && value.size() != XATTR_CAPS_SZ_3) {
		return;
	}
	std::memcpy(&data, value.data(), value.size());
	const std::uint32_t root = shifted(context, le32toh(data.rootid));
	const std::uint32_t flags = le32toh(data.magic_etc) & ~static_cast<std::uint32_t>(VFS_CAP_REVISION_MASK);
	data.rootid = htole32(root);
	data.magic_etc = htole32(flags | (root == 0 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3));
	value.assign(reinterpret_cast<const char *>(&data), root == 0 ? XATTR_CAPS_SZ_2 : XATTR_CAPS_SZ_3);
}

void shift_value(const CopyContext &context, std::string_view name, std::string &value) {
	if (context.shift == 0) {
		return;
	}
	if (name.starts_with("system.posix_acl_")) {
		shift_acl(context, value);
	} else if (name == "security.capability") {
		shift_capability(context, value);
	}
}

/** The attributes of an entry, by its descriptor or by the /proc link of an O_PATH one. */
class Attributes {
public:
	Attributes(int fd, Handle handle) : fd_(fd), path_(handle == Handle::open ? std::string() : cat("/proc/self/fd/", fd)) {}

	ssize_t list(char *names, std::size_t room) const {
		return path_.empty() ? ::flistxattr(fd_, names, room) : ::listxattr(path_.c_str(), names, room);
	}
	ssize_t get(const char *name, char *value, std::size_t room) const {
		return path_.empty() ? ::fgetxattr(fd_, name, value, room) : ::getxattr(path_.c_str(), name, value, room);
	}
	int set(const char *name, const std::string &value) const {
		return path_.empty() ? ::fsetxattr(fd_, name, value.data(), value.size(), 0)
							 : ::setxattr(path_.c_str(), name, value.data(), value.size(), 0);
	}

private:
	int fd_;
	std::string path_;
};

std::string list_attributes(const Attributes &entry, const std::string &shown) {
	std::array<char, 512> usual; // most have none
	const ssize_t first = entry.list(usual.data(), usual.size());
	if (first >= 0) {
		return {usual.data(), static_cast<std::size_t>(first)};
	}
	for (std::size_t room = 4096; errno == ERANGE; room *= 4) {
		std::string names(room, '\0');
		const ssize_t size = entry.list(names.data(), names.size());
		if (size >= 0) {
			names.resize(static_cast<std::size_t>(size));
			return names;
		}
	}
	if (errno != EOPNOTSUPP) {
		copy_failed(shown, errno);
	}
	return {};
}

std::string read_attribute(const Attributes &entry, const char *name, const std::string &shown) {
	for (std::size_t room = 256;; room *= 4) {
		std::string value(room, '\0');
		const ssize_t size = entry.get(name, value.data(), value.size());
		if (size >= 0) {
			value.resize(static_cast<std::size_t>(size));
			return value;
		}
		if (errno != ERANGE) {
			copy_failed(shown, errno);
		}
	}
}

void copy_attributes(const CopyContext &context, const Attributes &source, const Attributes &target, const std::string &shown) {
	const std::string names = list_attributes(source, shown);
	for (std::size_t at = 0; at < names.size(); at += std::strlen(names.c_str() + at) + 1) {
		const char *name = names.c_str() + at;
		if (!is_copied(name)) {
			continue;
		}
		std::string value = read_attribute(source, name, shown);
		shift_value(context, name, value);
		if (target.set(name, value) < 0) {
			throw_errno("copy", cat("cannot copy the attribute ", name, " of '", shown, "'"));
		}
	}
}
} // namespace

void copy_metadata(const CopyContext &context, int from, int to, const struct statx &status, const std::string &shown, Handle handle) {
	// chown clears set-id bits and capabilities: mode and attributes come after it.
	if (::fchownat(to, "", shifted(context, status.stx_uid), shifted(context, status.stx_gid), AT_EMPTY_PATH) < 0) {
		copy_failed(shown, errno);
	}
	const mode_t mode = status.stx_mode & 07777;
	if (!S_ISLNK(status.stx_mode)) {
		const int done = handle == Handle::open ? ::fchmod(to, mode) : ::chmod(cat("/proc/self/fd/", to).c_str(), mode);
		if (done < 0) {
			copy_failed(shown, errno);
		}
	}
	copy_attributes(context, Attributes(from, handle), Attributes(to, handle), shown);
}

void shift_metadata(const CopyContext &context, int entry, const struct statx &status, const std::string &shown) {
	// chown clears set-id bits and capabilities: what there is of them is read before it and written after it.
	const Attributes attributes(entry, Handle::path);
	std::vector<std::pair<std::string, std::string>> values;
	const std::string names = list_attributes(attributes, shown);
	for (std::size_t at = 0; at < names.size(); at += std::strlen(names.c_str() + at) + 1) {
		const std::string_view name(names.c_str() + at);
		if (name.starts_with("system.posix_acl_") || name == "security.capability") {
			values.emplace_back(name, read_attribute(attributes, names.c_str() + at, shown));
			shift_value(context, name, values.back().second);
		}
	}
	if (::fchownat(entry, "", shifted(context, status.stx_uid), shifted(context, status.stx_gid), AT_EMPTY_PATH) < 0) {
		throw_errno("shift", cat("cannot change the owner of '", shown, "'"));
	}
	if (!S_ISLNK(status.stx_mode) && (status.stx_mode & (S_ISUID | S_ISGID)) != 0 &&
		::chmod(cat("/proc/self/fd/", entry).c_str(), status.stx_mode & 07777) < 0) {
		throw_errno("shift", cat("cannot change the mode of '", shown, "'"));
	}
	for (const auto &[name, value] : values) {
		if (attributes.set(name.c_str(), value) < 0) {
			throw_errno("shift", cat("cannot change the attribute ", name, " of '", shown, "'"));
		}
	}
}

} // namespace tslxc
