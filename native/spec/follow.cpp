#include "follow.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include <nlohmann/json.hpp>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/time.hpp"

namespace tslxc {

namespace {
std::optional<RunState> state_of(const std::string &line) {
	const auto value = nlohmann::json::parse(line, nullptr, false);
	const auto state = value.is_object() ? value.find("state") : value.end();
	return value.is_object() && state != value.end() && state->is_string() ? parse_state_name(state->get<std::string>()) : std::nullopt;
}
} // namespace

EventFollower::EventFollower(std::string run_dir) : run_dir_(std::move(run_dir)), notify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
	if (!notify_) {
		throw_errno("inotify", "cannot watch for changes", errno, "raise fs.inotify.max_user_instances by sysctl");
	}
	make_dirs(run_dir_.substr(0, run_dir_.find_last_of('/')), 0700);
	watch();
	open_file(true);
}

/** The directory itself where it is there; its parent until then. */
void EventFollower::watch() {
	const std::string parent = run_dir_.substr(0, run_dir_.find_last_of('/'));
	// The parent first: a directory made between the two calls is then noticed.
	if (::inotify_add_watch(notify_.get(), parent.c_str(), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
		throw_errno("inotify", "cannot watch for changes", errno, "raise fs.inotify.max_user_watches by sysctl");
	}
	constexpr unsigned what = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR;
	directory_watch_ = ::inotify_add_watch(notify_.get(), run_dir_.c_str(), what);
}

void EventFollower::open_file(bool skip) {
	file_.reset(::open((run_dir_ + "/events.jsonl").c_str(), O_RDONLY | O_CLOEXEC));
	offset_ = file_ && skip ? ::lseek(file_.get(), 0, SEEK_END) : 0;
}

/** Takes what has been written; goes over to a new file once the old one is read to its end. */
bool EventFollower::read_more() {
	if (!file_) {
		watch();
		open_file(false);
		if (!file_) {
			return false;
		}
	}
	struct stat status;
	struct stat current;
	if (::fstat(file_.get(), &status) == 0 && status.st_size < offset_) {
		offset_ = 0;
	}
	std::array<char, 4096> buffer;
	const ssize_t count = ::pread(file_.get(), buffer.data(), buffer.size(), offset_);
	if (count > 0) {
		offset_ += count;
		pending_.append(buffer.data(), static_cast<std::size_t>(count));
		return true;
	}
	const bool there = ::stat((run_dir_ + "/events.jsonl").c_str(), &current) == 0;
	if (there && current.st_ino == status.st_ino && current.st_dev == status.st_dev) {
		return false;
	}
	file_.reset();
	return there && read_more();
}

std::optional<RunState> EventFollower::take_line() {
	for (;;) {
		const std::size_t end = pending_.find('\n');
		if (end == std::string::npos) {
			return std::nullopt;
		}
		const std::string line = pending_.substr(0, end);
		pending_.erase(0, end + 1);
		if (const auto state = state_of(line)) {
			return state;
		}
	}
}

std::optional<RunState> EventFollower::next(int timeout_ms, int other) {
	const long long end = monotonic_ms() + timeout_ms;
	for (;;) {
		do {
			if (const auto state = take_line()) {
				return state;
			}
		} while (read_more());
		std::array<pollfd, 2> watched = {pollfd{notify_.get(), POLLIN, 0}, pollfd{other, POLLIN, 0}};
		const long long left = timeout_ms < 0 ? -1 : end - monotonic_ms();
		if (timeout_ms >= 0 && left <= 0) {
			return std::nullopt;
		}
		const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(left));
		if (ready == 0 || (ready > 0 && watched[0].revents == 0)) {
			return take_line();
		}
		std::array<char, 4096> ignored;
		while (::read(notify_.get(), ignored.data(), ignored.size()) > 0) {
		}
	}
}

} // namespace tslxc
