#include "log.hpp"

#include <fcntl.h>
#include <strings.h>

#include <array>

#include "file.hpp"
#include "text.hpp"
#include "time.hpp"

namespace tslxc::log {

namespace {
struct Sink {
	Level level = Level::error;
	Fd file;
	bool quiet = false;
	std::string container = "-";
};

Sink &sink() {
	static Sink instance;
	return instance;
}

constexpr std::array<const char *, 9> names = {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"};

} // namespace

void set_level(Level level) {
	sink().level = level;
}

void set_file(const std::string &path) {
	if (path.empty() || path == "none") {
		sink().file.reset();
		return;
	}
	sink().file = open_or_throw(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0640);
}

int file_descriptor() {
	return sink().file ? sink().file.get() : -1;
}

void set_quiet(bool quiet) {
	sink().quiet = quiet;
}

void set_container(const std::string &name) {
	sink().container = name.empty() ? "-" : name;
}

bool parse_level(std::string_view text, Level &out) {
	if (text.size() == 1 && text[0] >= '0' && text[0] <= '8') {
		out = static_cast<Level>(text[0] - '0');
		return true;
	}
	for (std::size_t i = 0; i < names.size(); i++) {
		if (::strcasecmp(std::string(text).c_str(), names[i]) == 0) {
			out = static_cast<Level>(i);
			return true;
		}
	}
	return false;
}

void write(Level level, std::string_view step, std::string_view message) {
	Sink &to = sink();
	if (level < to.level || (!to.file && to.quiet)) {
		return;
	}
	std::string line = cat(utc_time(), ' ', names[static_cast<std::size_t>(level)], ' ', to.container, ' ', step, ' ', message);
	for (char &c : line) {
		if (c == '\n' || c == '\r') {
			c = ' ';
		}
	}
	line = printable(line);
	line.push_back('\n');
	const int fd = to.file ? to.file.get() : STDERR_FILENO;
	// A log that can't be written stops nothing.
	[[maybe_unused]] const ssize_t ignored = ::write(fd, line.data(), line.size());
}

} // namespace tslxc::log
