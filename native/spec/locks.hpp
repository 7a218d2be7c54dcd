// The container lock: an flock on <run>/locks/NAME, which names its holder. Shared with Node through the addon.
#pragma once

#include <string>

#include "../base/fd.hpp"

namespace tslxc {

/** Tries for timeout_ms with back-off; throws SysError "busy": `'web' is locked by 'tslxc destroy' (pid 4242, 12 s)`. */
Fd lock_container(const std::string &lock_file, const std::string &name, const std::string &command, int timeout_ms = 30'000);
/** One try; nothing (empty Fd) when it is held, and then `holder` says by whom. The line in the file: `PID UNIX-SECONDS COMMAND\n`. */
Fd try_lock(const std::string &lock_file, const std::string &command, bool shared, std::string *holder);

} // namespace tslxc
