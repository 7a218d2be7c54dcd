#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../spec/spec.hpp"

namespace tslxc {

/** cap_sys_admin or sys_admin → 21; -1: unknown to us. A number as text is taken as it is. capabilities(7) */
int capability_number(const std::string &name);
/** The mask the container keeps, limited to what this kernel knows. */
std::uint64_t kept_capabilities(const SecurityPlan &plan);
/** Drops the rest from the bounding and inheritable sets, then sets permitted and effective. Call before exec, after the last mount. */
void limit_capabilities(std::uint64_t kept);
/** The two halves, for who changes ids between them: the bounding set needs CAP_SETPCAP, the change of ids CAP_SETUID. */
void limit_bounding_set(std::uint64_t kept);
void set_capabilities(std::uint64_t kept);

} // namespace tslxc
