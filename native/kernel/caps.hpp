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
/** Drops the rest from the bounding set. Needs CAP_SETPCAP; the change of ids, which comes next, CAP_SETUID. */
void limit_bounding_set(std::uint64_t kept);
/** Permitted and effective; inheritable and ambient are emptied. Call before exec, after the last mount and the change of ids. */
void set_capabilities(std::uint64_t kept);

} // namespace tslxc
