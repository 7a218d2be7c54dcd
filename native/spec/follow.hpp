// Following events.jsonl: every transition in order, none lost, however fast they come.
#pragma once

#include <optional>
#include <string>

#include "../base/fd.hpp"
#include "state.hpp"

namespace tslxc {

class EventFollower {
public:
	/** Events from now on: what stands in the file already is skipped. The run directory may be absent yet, its parent too. */
	explicit EventFollower(std::string run_dir);
	/** The next transition; nothing after timeout_ms (< 0: for ever), or when `other` (a pidfd, -1: none) becomes readable. */
	std::optional<RunState> next(int timeout_ms, int other = -1);

private:
	std::string run_dir_;
	Fd notify_, file_;
	int directory_watch_ = -1;
	std::string pending_;
	long long offset_ = 0;

	void watch();
	bool read_more();
	void open_file(bool skip);
	std::optional<RunState> take_line();
};

} // namespace tslxc
