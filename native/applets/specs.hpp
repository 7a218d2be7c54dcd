// Which spec an applet works by: the cached one of the container's directory, brought up to date when it is stale.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../spec/paths.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

/** The text of spec.json in a directory when it is fresh. */
std::optional<std::string> fresh_spec(const std::string &directory, const std::string &build, StampCache &seen);
/** The text of <container_dir>/spec.json, compiled first where it is stale. */
std::string up_to_date_spec(const Paths &paths, const std::string &name);
/** Compiles all stale ones of these in one go. Says nothing of failures: who needs such a spec compiles it again and hears why. */
void refresh_specs(const Paths &paths, const std::vector<std::string> &names);
/** Content of a file that the spec names beside itself; throws SysError. */
std::string spec_companion(const std::string &directory, const std::string &file);
/** Has an input changed since this spec was made? Another build of the program is no change. */
bool inputs_changed(const SpecHead &head);

} // namespace tslxc
