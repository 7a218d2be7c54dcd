// Files of a guest's root file system, reached so that no symlink in it leads out. openat2(2), RESOLVE_IN_ROOT.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../base/fd.hpp"

namespace tslxc {

struct EntryStatus {
	mode_t mode; // with the type
	uid_t uid;
	gid_t gid;
	off_t size;
};

struct Owner {
	uid_t uid;
	gid_t gid;
};

/** All paths are the guest's own: absolute or relative, always beneath the root. Errors name them as given. */
class ConfinedDir {
public:
	explicit ConfinedDir(const std::string &path);

	/** Regular files only; nothing when absent. Throws when larger than max_bytes. */
	std::optional<std::string> read(const std::string &path, std::size_t max_bytes) const;
	/** Replaces atomically; parents are made (0755, owner of the directory above). A symlink at the place is replaced. */
	void write(const std::string &path, std::string_view content, mode_t mode, Owner owner) const;
	/** A directory that is there is left as it is. */
	void make_dir(const std::string &path, mode_t mode, Owner owner) const;
	void symlink(const std::string &target, const std::string &path) const;
	/** A file, a symlink or a whole tree; absent is success. */
	void remove(const std::string &path) const;
	/** Names, sorted; nothing when it is no directory. */
	std::optional<std::vector<std::string>> list(const std::string &path) const;
	/** Of the entry itself, not of what a symlink names. */
	std::optional<EntryStatus> status(const std::string &path) const;
	void change_mode(const std::string &path, mode_t mode) const;
	void change_owner(const std::string &path, Owner owner) const;
	std::optional<std::string> read_link(const std::string &path) const;
	void close() { root_.reset(); }

private:
	/** Nothing when absent. */
	Fd find(const std::string &path, int flags) const;
	Fd find_or_throw(const std::string &path, const char *verb) const;
	Fd make_parents(const std::string &dir) const;
	int root() const;

	Fd root_;
};

} // namespace tslxc
