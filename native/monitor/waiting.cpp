// A monitor starts its container and then waits for days. For that it executes itself anew: what the start has used of memory is gone, and
// the waiting takes two thirds of it. The pid, the children, the monitor's lock and the descriptors stay; the rest is handed over here.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "../kernel/protect.hpp"
#include "life.hpp"

namespace tslxc {

namespace {

/** Fields end by a NUL; the last one, the ring, may contain some. */
class Writer {
public:
	void add(std::string_view field) {
		text_.append(field);
		text_.push_back('\0');
	}
	void add(long long number) { add(std::to_string(number)); }
	/** A descriptor that outlives the exec. */
	void add(const Fd &fd) {
		if (fd) {
			::fcntl(fd.get(), F_SETFD, 0);
		}
		add(fd.get());
	}
	std::string text_;
};

class Reader {
public:
	explicit Reader(std::string text) : text_(std::move(text)) {}
	std::string text() {
		const auto end = text_.find('\0', at_);
		if (end == std::string::npos) {
			throw_error("internal", "cannot go on as a monitor: what was handed over is incomplete");
		}
		std::string field = text_.substr(at_, end - at_);
		at_ = end + 1;
		return field;
	}
	long long number() { return to_int(text()).value_or(0); }
	Fd fd() {
		const int number = static_cast<int>(to_int(text()).value_or(-1));
		if (number >= 0) {
			::fcntl(number, F_SETFD, FD_CLOEXEC);
		}
		return Fd(number);
	}
	std::string rest() const { return text_.substr(at_); }

private:
	std::string text_;
	std::size_t at_ = 0;
};

} // namespace

void Life::execute_for_waiting() {
	Writer out;
	for (const std::string *text :
		 {&paths_.root, &paths_.lxcpath, &paths_.run_base, &paths_.run_lxcpath, &name_, &hook_oom_score_, &request_.console_path,
		  &request_.console_log, &log_file_, &log_level_, &console_plan_.path, &console_plan_.log_file}) {
		out.add(*text);
	}
	for (const long long number :
		 {static_cast<long long>(console_plan_.rotate), static_cast<long long>(console_plan_.log_bytes),
		  static_cast<long long>(console_plan_.buffer_bytes), static_cast<long long>(halt_signal_.value_or(0)),
		  static_cast<long long>(reboot_signal_), static_cast<long long>(stop_signal_), static_cast<long long>(ephemeral_),
		  static_cast<long long>(has_end_hooks_), static_cast<long long>(launched_at_.time_since_epoch().count())}) {
		out.add(number);
	}
	::fcntl(lock_fd_, F_SETFD, 0);
	out.add(lock_fd_);
	out.add(listener_);
	out.add(launched_.pidfd);
	out.add(console_.master());
	out.add(static_cast<long long>(launched_.ttys.size()));
	for (const Fd &tty : launched_.ttys) {
		out.add(tty);
	}
	out.add(static_cast<long long>(launched_.namespaces.size()));
	for (const auto &[name, fd] : launched_.namespaces) {
		out.add(name);
		out.add(fd);
	}
	out.add(console_.tail());
	out.text_ += console_.ring(0);
	const Fd file(::memfd_create("monitor", 0));
	if (file && ::pwrite(file.get(), out.text_.data(), out.text_.size(), 0) == static_cast<ssize_t>(out.text_.size())) {
		exec_again({wait_as_monitor_word, std::to_string(file.get())});
	}
	log::info("monitor", "cannot execute anew to save memory");
}

Life::Life(int handed_over) {
	Reader in(read_all(handed_over, "what was handed over"));
	::close(handed_over);
	for (std::string *text :
		 {&paths_.root, &paths_.lxcpath, &paths_.run_base, &paths_.run_lxcpath, &name_, &hook_oom_score_, &request_.console_path,
		  &request_.console_log, &log_file_, &log_level_, &console_plan_.path, &console_plan_.log_file}) {
		*text = in.text();
	}
	console_plan_.rotate = in.number() != 0;
	console_plan_.log_bytes = static_cast<std::uint64_t>(in.number());
	console_plan_.buffer_bytes = static_cast<std::uint64_t>(in.number());
	const int halt = static_cast<int>(in.number());
	halt_signal_ = halt > 0 ? std::optional(halt) : std::nullopt;
	reboot_signal_ = static_cast<int>(in.number());
	stop_signal_ = static_cast<int>(in.number());
	ephemeral_ = in.number() != 0;
	has_end_hooks_ = in.number() != 0;
	launched_at_ = Clock::time_point(Clock::duration(in.number()));
	lock_fd_ = in.fd().release();
	listener_ = in.fd();
	launched_.pidfd = in.fd();
	Fd master = in.fd();
	for (long long left = in.number(); left > 0; --left) {
		launched_.ttys.push_back(in.fd());
	}
	for (long long left = in.number(); left > 0; --left) {
		std::string name = in.text();
		launched_.namespaces.emplace_back(std::move(name), in.fd());
	}
	const std::string tail = in.text();
	console_.configure(console_plan_);
	console_.take_over(std::move(master), tail, in.rest());
	run_dir_ = open_or_throw(paths_.run_dir(name_), O_RDONLY | O_DIRECTORY);
	state_ = parse_state(read_file(cat(paths_.run_dir(name_), "/state.json"))).value_or(State{});
	launched_.pid = state_.init_pid;
	launched_.start_time = state_.init_start_time;
	launched_.interfaces = state_.interfaces;
	cgroups_.payload = state_.cgroups;
	cgroups_.monitor = state_.monitor_cgroups;
}

} // namespace tslxc
