#include "btrfs_tree.hpp"

#include <fcntl.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc::btrfs {

namespace {
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
// Of later headers than those of g++ 12's distribution.
constexpr std::uint64_t status_simple_mode = 1ULL << 3; // BTRFS_QGROUP_STATUS_FLAG_SIMPLE_MODE, Linux 6.7
/** Then one field more follows: enable_gen. */
constexpr std::size_t status_size = sizeof(btrfs_qgroup_status_item);

/** The path of a directory beneath its subvolume, with a slash at its end; empty for the subvolume itself. */
std::string directory_path(int fd, std::uint64_t tree, std::uint64_t directory, const std::string &shown) {
	btrfs_ioctl_ino_lookup_args lookup{};
	lookup.treeid = tree;
	lookup.objectid = directory;
	if (::ioctl(fd, BTRFS_IOC_INO_LOOKUP, &lookup) < 0) {
		fail(cat("cannot find the subvolumes in '", shown, "'"), shown, errno);
	}
	return lookup.name;
}
} // namespace

void fail(const std::string &what, const std::string &path, int error_number) {
	switch (error_number) {
	case EXDEV:
		throw_error("host", cat(what, ": it lies on another file system"), "tslxc copy NAME NEWNAME");
	case EEXIST:
		throw_error("exists", cat(what, ": it already exists"));
	case ENOTTY:
		throw_error("host", cat(what, ": it is not on btrfs"), cat("findmnt -T '", path, "'"));
	case ENOSPC:
		throw_errno("btrfs", what, error_number, cat("btrfs filesystem usage '", path, "'; btrfs balance start -dusage=50 '", path, "'"));
	case EDQUOT:
		throw_errno("btrfs", what, error_number, cat("btrfs qgroup show -re '", path, "'"));
	case EROFS:
		throw_error("host", cat(what, ": the file system is read-only"), cat("findmnt -T '", path, "'; dmesg | grep -i btrfs"));
	default:
		throw_errno("btrfs", what, error_number);
	}
}

bool search_tree(int fd, std::uint64_t tree, const btrfs_ioctl_search_key &key,
				 const std::function<void(const btrfs_ioctl_search_header &, std::string_view)> &found) {
	constexpr std::size_t size = 64 * 1024;
	const auto memory = std::make_unique<std::uint64_t[]>((sizeof(btrfs_ioctl_search_args_v2) + size) / sizeof(std::uint64_t));
	auto *args = reinterpret_cast<btrfs_ioctl_search_args_v2 *>(memory.get());
	args->key = key;
	args->key.tree_id = tree;
	args->key.max_transid = highest;
	for (;;) {
		args->key.nr_items = std::numeric_limits<std::uint32_t>::max();
		args->buf_size = size;
		if (::ioctl(fd, BTRFS_IOC_TREE_SEARCH_V2, args) < 0) {
			if (errno == ENOENT) {
				return false;
			}
			throw_errno("btrfs", "cannot search a tree of the btrfs");
		}
		if (args->key.nr_items == 0) {
			return true;
		}
		const char *at = reinterpret_cast<const char *>(args->buf);
		btrfs_ioctl_search_header header{};
		for (std::uint32_t i = 0; i < args->key.nr_items; i++) {
			std::memcpy(&header, at, sizeof header);
			at += sizeof header;
			// The search runs over whole keys, so items of other types may lie between.
			if (header.type >= key.min_type && header.type <= key.max_type) {
				found(header, std::string_view(at, header.len));
			}
			at += header.len;
		}
		if (header.objectid == key.max_objectid && header.type == key.max_type && header.offset >= key.max_offset) {
			return true;
		}
		args->key.min_objectid = header.objectid;
		args->key.min_type = header.type;
		args->key.min_offset = header.offset + 1;
		if (header.offset == highest) {
			return true;
		}
	}
}

bool is_btrfs(int fd) {
	struct statfs status;
	return ::fstatfs(fd, &status) == 0 && status.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(int fd) {
	struct stat status;
	return is_btrfs(fd) && ::fstat(fd, &status) == 0 && status.st_ino == BTRFS_FIRST_FREE_OBJECTID && S_ISDIR(status.st_mode);
}

std::uint64_t subvolume_id(int fd, const std::string &shown) {
	btrfs_ioctl_ino_lookup_args lookup{};
	lookup.objectid = BTRFS_FIRST_FREE_OBJECTID;
	if (::ioctl(fd, BTRFS_IOC_INO_LOOKUP, &lookup) < 0) {
		fail(cat("cannot look at the subvolume '", shown, "'"), shown, errno);
	}
	return lookup.treeid;
}

bool is_read_only(int fd, const std::string &shown) {
	std::uint64_t flags = 0;
	if (::ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0) {
		fail(cat("cannot look at the subvolume '", shown, "'"), shown, errno);
	}
	return (flags & BTRFS_SUBVOL_RDONLY) != 0;
}

void set_read_only(int fd, bool read_only, const std::string &shown) {
	std::uint64_t flags = read_only ? BTRFS_SUBVOL_RDONLY : 0;
	if (::ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) < 0) {
		fail(cat("cannot make the subvolume '", shown, read_only ? "' read-only" : "' writable"), shown, errno);
	}
}

std::string file_system_uuid(int fd, const std::string &shown) {
	btrfs_ioctl_fs_info_args info{};
	if (::ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0) {
		fail(cat("cannot look at the file system of '", shown, "'"), shown, errno);
	}
	static const char digits[] = "0123456789abcdef";
	std::string text;
	for (int i = 0; i < BTRFS_FSID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			text += '-';
		}
		text += digits[info.fsid[i] >> 4];
		text += digits[info.fsid[i] & 15];
	}
	return text;
}

QuotaState quota_state(int fd) {
	QuotaState state;
	btrfs_ioctl_search_key key{};
	key.min_type = key.max_type = BTRFS_QGROUP_STATUS_KEY;
	search_tree(fd, BTRFS_QUOTA_TREE_OBJECTID, key, [&](const btrfs_ioctl_search_header &, std::string_view item) {
		btrfs_qgroup_status_item status;
		if (item.size() < sizeof status) {
			return;
		}
		std::memcpy(&status, item.data(), sizeof status);
		if ((status.flags & BTRFS_QGROUP_STATUS_FLAG_ON) == 0) {
			return;
		}
		if (item.size() >= status_size + sizeof state.since) {
			std::memcpy(&state.since, item.data() + status_size, sizeof state.since);
		}
		state.mode = (status.flags & status_simple_mode) != 0 ? QuotaMode::simple : QuotaMode::full;
		state.inconsistent = state.mode == QuotaMode::full &&
							 (status.flags & (BTRFS_QGROUP_STATUS_FLAG_INCONSISTENT | BTRFS_QGROUP_STATUS_FLAG_RESCAN)) != 0;
	});
	return state;
}

std::vector<Nested> nested_in(int fd, std::uint64_t id, const std::string &shown) {
	struct Reference {
		std::uint64_t id, directory;
		std::string name;
	};
	std::vector<Reference> references;
	btrfs_ioctl_search_key key{};
	key.min_objectid = key.max_objectid = id;
	key.min_type = key.max_type = BTRFS_ROOT_REF_KEY;
	key.max_offset = highest;
	search_tree(fd, BTRFS_ROOT_TREE_OBJECTID, key, [&](const btrfs_ioctl_search_header &header, std::string_view item) {
		btrfs_root_ref reference;
		if (item.size() < sizeof reference) {
			return;
		}
		std::memcpy(&reference, item.data(), sizeof reference);
		references.push_back({header.offset, reference.dirid, std::string(item.substr(sizeof reference, reference.name_len))});
	});
	std::vector<Nested> all;
	for (const Reference &reference : references) {
		all.push_back({reference.id, cat(directory_path(fd, id, reference.directory, shown), reference.name)});
	}
	return all;
}

Fd open_nested(int parent_fd, const Nested &nested, const std::string &shown) {
	open_how how{};
	how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
	const std::string inside = cat(shown, "/", nested.path);
	Fd fd(static_cast<int>(TEMP_FAILURE_RETRY(::syscall(SYS_openat2, parent_fd, nested.path.c_str(), &how, sizeof how))));
	if (!fd) {
		fail(cat("cannot open the nested subvolume '", inside, "'"), inside, errno);
	}
	if (!is_subvolume(fd.get()) || subvolume_id(fd.get(), inside) != nested.id) {
		throw_error("busy", cat("cannot open the nested subvolume '", inside, "': it was moved meanwhile"));
	}
	return fd;
}

std::vector<std::uint64_t> tree_ids(int fd, const std::string &shown) {
	std::vector<std::uint64_t> ids{subvolume_id(fd, shown)};
	// The list grows while it is walked.
	for (std::size_t i = 0; i < ids.size(); i++) {
		btrfs_ioctl_search_key key{};
		key.min_objectid = key.max_objectid = ids[i];
		key.min_type = key.max_type = BTRFS_ROOT_REF_KEY;
		key.max_offset = highest;
		search_tree(fd, BTRFS_ROOT_TREE_OBJECTID, key,
					[&](const btrfs_ioctl_search_header &header, std::string_view) { ids.push_back(header.offset); });
	}
	return ids;
}

} // namespace tslxc::btrfs
