// What a monitor that died has left behind.
#pragma once

#include <string>

#include "../spec/paths.hpp"
#include "../spec/state.hpp"

namespace tslxc {

/** Kills what is left in the container's cgroups, removes them, its links with a fixed host name and the files of the run directory, and
 *  publishes STOPPED. The caller holds the container lock and has seen `observation.crashed`. Safe to repeat. */
void clean_up_crashed(const Paths &paths, const std::string &name, const Observation &observation);

} // namespace tslxc
