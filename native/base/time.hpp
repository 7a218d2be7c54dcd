// Clocks. strftime(3) and even gmtime_r(3) read the zone files first, which no hot path can afford.
#pragma once

#include <string>

namespace tslxc {

/** Now as `2026-11-24T12:48:39.171Z`. RFC 3339 */
std::string utc_time();
/** Seconds since 1970. */
long long unix_time();
/** For measuring and for ends of waits: not set by anyone. */
long long monotonic_ms();

} // namespace tslxc
