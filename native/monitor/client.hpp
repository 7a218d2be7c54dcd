// What the applets ask a running container's monitor. Every function throws SysError: "no-monitor" when nobody answers at the socket (the
// caller falls back to state.json), else what the monitor replied.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

/** The signal that asks this init for a shutdown: SIGRTMIN+3 when it blocks or catches that (systemd), else SIGPWR. */
int detect_halt_signal(pid_t init);

struct StopRequest {
	/** Absent: spec.init.halt_signal, else detected. */
	std::optional<int> signal;
	int timeout_ms = 60'000; // negative: for ever
	/** No signal and no waiting: every process is killed. */
	bool kill = false;
	/** Kill what is left when the time is over; false: the request then fails with "timeout". */
	bool kill_after_timeout = true;
	/** False: the reply comes as soon as the signal is sent. */
	bool wait = true;
};
/** Returns when the container is STOPPED (its hooks done, nothing left). A frozen one is thawed first. */
void request_stop(const std::string &run_dir, const StopRequest &request);
/** Sends the reboot signal; with a timeout other than 0 returns when the container runs again. Fails with "timeout". */
void request_reboot(const std::string &run_dir, int timeout_ms);
void request_freeze(const std::string &run_dir, int timeout_ms = 10'000);
void request_unfreeze(const std::string &run_dir);

struct ConsoleGrant {
	int tty = 0; // 0: /dev/console
	Fd terminal; // read what the guest writes, write what is typed. Of /dev/console it is a stream from the monitor, not a terminal
	Fd screen;	 // for the window size only (TIOCSWINSZ)
	Fd session;	 // keep open: closing it gives the tty back
};
/** tty −1: the next free one. Fails with "busy" or "not-found". */
ConsoleGrant request_console(const std::string &run_dir, int tty);

} // namespace tslxc
