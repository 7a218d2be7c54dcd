// `info -c KEY`: the effective configuration in LXC's spelling.
#pragma once

#include <optional>
#include <string>

#include "../spec/spec.hpp"

namespace tslxc {

/** What LXC prints behind `KEY = `; "" for a key that is known and not set; nothing for an unknown key. The `lxc.` in front may be left
 * out. */
std::optional<std::string> find_key(const Spec &spec, const std::string &key);

} // namespace tslxc
