// Pids, start times, child processes.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "fd.hpp"

namespace tslxc {

/** Field 22 of /proc/PID/stat (clock ticks since boot), nothing when the process is gone, a zombie or dead. proc(5) */
std::optional<unsigned long long> process_start_time(pid_t pid);
/** pidfd_open(2), checked afterwards against the start time; an empty Fd when the process is another or gone. */
Fd open_process(pid_t pid, unsigned long long start_time);
/** waitpid, EINTR repeated; the exit code as a shell has it (128 + signal when killed). */
int wait_for(pid_t pid);
/** PR_SET_MM_ARG_* rewrite so that ps shows the title. Silently nothing where the kernel refuses. */
void set_process_title(const std::string &title);
/** Runs argv with env added, waits; stdout and stderr are collected (capped at 64 KiB). Used for hooks and network scripts. */
struct RunResult {
	int exit_code;
	std::string output;
};
RunResult run_program(const std::vector<std::string> &argv, const std::vector<std::string> &extra_env);

/** Closes every descriptor above 2 but these two; a negative one is none. */
void close_all_but(int one, int other);

} // namespace tslxc
