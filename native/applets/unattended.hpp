// Ending a container whose monitor is dead or does not answer: from state.json alone.
#pragma once

#include <string>

#include "../spec/paths.hpp"
#include "../spec/state.hpp"

namespace tslxc {

struct Unattended {
	const Paths &paths;
	const std::string &name;
	const char *command; // for the lock
	int lock_timeout_ms;
	bool take_lock = true;
	bool kill = false;		 // without asking init first
	bool may_kill = true;	 // false: SysError "timeout" instead
	bool wait = true;		 // false: ask init, no more
	int timeout_ms = 60'000; // negative: for ever
};

/** A monitor that lives but is stopped by a signal or a debugger will never answer. */
bool monitor_hangs(const Observation &seen);
/** Thaws, asks init to halt, waits, kills what is left and the monitor, and cleans up. A container that has ended meanwhile is success. */
void end_unattended(const Unattended &work);

} // namespace tslxc
