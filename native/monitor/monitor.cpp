#include "monitor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "../base/error.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
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
void open_log(const Spec &spec) {
	log::Level level{};
	if (log::parse_level(spec.log_level, level)) {
		log::set_level(level);
	}
	if (spec.log_file.empty()) {
		return;
	}
	try {
		log::set_file(spec.log_file);
	} catch (const SysError &error) {
		log::warn("log", error.info().message);
	}
}

int live(MonitorRequest request) {
	const bool foreground = request.foreground;
	fill_standard_streams();
	log::set_container(request.spec.name);
	open_log(request.spec);
	set_process_title(cat("[tslxc monitor] ", request.paths.lxcpath, ' ', request.spec.name));
	if (!foreground && ::chdir("/") < 0) {
		log::warn("monitor", "cannot change to /");
	}
	Life life(std::move(request));
	return life.run();
}

} // namespace

void run_monitor(MonitorRequest request) {
	int code = 1;
	try {
		code = live(std::move(request));
	} catch (const std::exception &error) {
		log::write(log::Level::error, "monitor", error.what());
	}
	::_exit(code);
}

} // namespace tslxc
