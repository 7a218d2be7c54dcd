// Keeps the program's own file out of a guest's reach: /proc/PID/exe of a process that is in a container leads to it, and the root of a
// container without user namespace may write to what it leads to. CVE-2019-5736
#pragma once

#include <string>
#include <vector>

namespace tslxc {

/** True when this process runs from a read-only mount, as it does behind exec_protected. */
bool program_is_protected();
/** Executes the program anew from a read-only clone of its file that nothing else can reach: `PROGRAM words…`, the same environment.
 * argv[0] is the program's path, where install_root() finds it again. Throws SysError. */
[[noreturn]] void exec_protected(const std::vector<std::string> &words);

/** The same program from the mount it runs from, once more. Returns only when that failed. */
void exec_again(const std::vector<std::string> &words);

} // namespace tslxc
