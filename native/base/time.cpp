#include "time.hpp"

#include <time.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace tslxc {

namespace {
timespec read_clock(clockid_t clock) {
	timespec now;
	::clock_gettime(clock, &now);
	return now;
}
} // namespace

std::string utc_time() {
	using namespace std::chrono;
	const timespec now = read_clock(CLOCK_REALTIME);
	const sys_seconds second{seconds{now.tv_sec}};
	const sys_days day = floor<days>(second);
	const year_month_day date{day};
	const hh_mm_ss time{second - day};
	std::array<char, 64> text;
	std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02ld:%02ld:%02ld.%03ldZ", static_cast<int>(date.year()),
				  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<long>(time.hours().count()),
				  static_cast<long>(time.minutes().count()), static_cast<long>(time.seconds().count()), now.tv_nsec / 1'000'000);
	return text.data();
}

long long unix_time() {
	return read_clock(CLOCK_REALTIME).tv_sec;
}

long long monotonic_ms() {
	const timespec now = read_clock(CLOCK_MONOTONIC);
	return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

} // namespace tslxc
