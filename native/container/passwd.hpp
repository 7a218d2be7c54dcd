// The users of a guest, for a process that is already inside it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace tslxc {

struct PasswdEntry {
	std::string name, home, shell;
	uid_t uid = 0;
	gid_t gid = 0;
};

/** The line of a user; nothing when there is none. passwd(5) */
std::optional<PasswdEntry> find_in_passwd(std::string_view text, uid_t uid);
/** From /etc/passwd as the caller sees it. The file is the guest's: only a regular one below 4 MiB is read, and opening never blocks. */
std::optional<PasswdEntry> read_guest_passwd(uid_t uid);
/** By the guest's own `getent passwd UID`, which knows its name services; with the caller's rights, so after they were limited. */
std::optional<PasswdEntry> ask_getent(uid_t uid, char *const *env);

} // namespace tslxc
