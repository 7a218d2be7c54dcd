// The one process that stays with a running container: starts it, waits for its end, answers monitor.sock.
#pragma once

#include <string>
#include <vector>

#include "../base/fd.hpp"
#include "../spec/paths.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

struct MonitorRequest {
	Spec spec;
	Paths paths;
	/** Write end. One JSON line: {"ok":true,"pid":N} or {"ok":false,"error":{…},"console":"last lines"}; closed afterwards. */
	Fd start_pipe;
	/** The container lock, inherited; dropped when RUNNING is published. */
	Fd lock;
	/** The caller's terminal (stdin, stdout) is bridged to the container's console, and init's exit code is the process's. */
	bool foreground = false;
	std::string pid_file;	  // gets the monitor's pid
	std::string console_path; // overrides spec.console.path when not empty
	std::string console_log;  // overrides spec.console.log_file when not empty
};

/** Becomes the monitor: the caller has forked, made a session and closed its standard streams (not in the foreground). spec.json and
 *  seccomp.bpf stand in the run directory. Leaves by _exit. */
[[noreturn]] void run_monitor(MonitorRequest request);

/** First word of the program's hidden way back into run_monitor, behind the protected exec of a privileged container's monitor. */
inline constexpr const char *resume_monitor_word = "--monitor";
/** And behind the exec of a monitor whose container runs. */
inline constexpr const char *wait_as_monitor_word = "--monitor-waits";
[[noreturn]] void resume_monitor(const std::vector<std::string> &words);

} // namespace tslxc
