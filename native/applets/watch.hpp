// An init that ends right after its start. What has run well before is not watched: a start of it costs nothing more.
#pragma once

#include <sys/types.h>

#include <string>

#include "applets.hpp"

namespace tslxc {

/** True when the same plan was in force last time and its init did not end by itself. */
bool has_run_well(const std::string &run_dir, std::string_view plan);
/** A tenth of a second. Throws SysError with the last lines of the console when init failed within. */
void watch_first_moments(const Invocation &invocation, const std::string &name, pid_t init);
/** After the start of several: reports those whose init has failed by now. 1 when there is one, else 0. */
int report_ended(const Invocation &invocation);

} // namespace tslxc
