#include "monitor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "../kernel/protect.hpp"
#include "life.hpp"

namespace tslxc {

namespace {

/** No descriptor of ours may become 0, 1 or 2: programs write there. */
void fill_standard_streams() {
	int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd < 3) {
		fd = ::fcntl(fd, F_DUPFD, 0);
	}
	if (fd >= 3) {
		::close(fd);
	}
}

/** log.file and log.level. A log that can't be opened stops no container. */
void open_log(const std::string &name, const std::string &file, const std::string &level_name) {
	log::set_container(name);
	log::Level level{};
	if (log::parse_level(level_name, level)) {
		log::set_level(level);
	}
	if (file.empty()) {
		return;
	}
	try {
		log::set_file(file);
	} catch (const SysError &error) {
		log::warn("log", error.info().message);
	}
}

std::string handed_down(const Fd &fd) {
	if (fd) {
		::fcntl(fd.get(), F_SETFD, 0);
	}
	return std::to_string(fd.get());
}

/** The words of resume_monitor. The rest of the request stands in the run directory. */
std::vector<std::string> write_request(const MonitorRequest &request) {
	return {resume_monitor_word,
			request.paths.root,
			request.paths.lxcpath,
			request.paths.run_base,
			request.paths.run_lxcpath,
			request.spec.name,
			handed_down(request.start_pipe),
			handed_down(request.lock),
			request.foreground ? "foreground" : "daemon",
			request.pid_file,
			request.console_path,
			request.console_log,
			request.spec.log_file,
			request.spec.log_level};
}

Fd taken_up(const std::string &number) {
	const int fd = static_cast<int>(to_int(number).value_or(-1));
	if (fd >= 0) {
		::fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	return Fd(fd);
}

MonitorRequest read_request(const std::vector<std::string> &words) {
	MonitorRequest request;
	request.paths.root = words.at(1);
	request.paths.lxcpath = words.at(2);
	request.paths.run_base = words.at(3);
	request.paths.run_lxcpath = words.at(4);
	request.start_pipe = taken_up(words.at(6));
	request.lock = taken_up(words.at(7));
	request.foreground = words.at(8) == "foreground";
	request.pid_file = words.at(9);
	request.console_path = words.at(10);
	request.console_log = words.at(11);
	request.spec = parse_spec(read_file(cat(request.paths.run_dir(words.at(5)), "/spec.json")));
	request.spec.log_file = words.at(12);
	request.spec.log_level = words.at(13);
	return request;
}

void prepare(const MonitorRequest &request) {
	fill_standard_streams();
	open_log(request.spec.name, request.spec.log_file, request.spec.log_level);
	// The guest's root is the host's, and init is this program until it execs: its file must be out of reach by then.
	if (!request.spec.unprivileged() && !program_is_protected()) {
		exec_protected(write_request(request));
	}
	if (!request.foreground && ::chdir("/") < 0) {
		log::warn("monitor", "cannot change to /");
	}
}

} // namespace

void run_monitor(MonitorRequest request) {
	int code = 1;
	try {
		prepare(request);
		code = Life(std::move(request)).run();
	} catch (const SysError &error) {
		log::write(log::Level::error, "monitor", error.what());
		ErrorInfo info = error.info();
		info.message = cat("cannot start '", request.spec.name, "': ", info.message);
		const std::string line = write_failure(info) + "\n";
		[[maybe_unused]] const ssize_t ignored = ::write(request.start_pipe.get(), line.data(), line.size());
	} catch (const std::exception &error) {
		log::write(log::Level::error, "monitor", error.what());
	}
	::_exit(code);
}

void resume_monitor(const std::vector<std::string> &words) {
	try {
		if (words[0] == wait_as_monitor_word) {
			Life life(static_cast<int>(to_int(words.at(1)).value_or(-1)));
			open_log(life.name(), life.log_file(), life.log_level());
			::_exit(life.wait());
		}
		run_monitor(read_request(words));
	} catch (const std::exception &error) {
		log::write(log::Level::error, "monitor", error.what());
	}
	::_exit(1);
}

} // namespace tslxc
