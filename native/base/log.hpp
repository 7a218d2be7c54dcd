// Log lines `time level container step message key=value`, LXC's levels, the same as the TypeScript side writes.
#pragma once

#include <string>
#include <string_view>

namespace tslxc::log {

enum class Level { trace, debug, info, notice, warn, error, crit, alert, fatal };

/** The only global of the program. Defaults: level error, no file, stderr. */
void set_level(Level level);
/** Appends to the file from now on (opened O_APPEND|O_CLOEXEC, 0640); throws SysError. "none" or "": stderr only. */
void set_file(const std::string &path);
/** Of the file; -1: there is none. For who closes all others. */
int file_descriptor();
void set_quiet(bool quiet);
void set_container(const std::string &name);
/** FATAL … TRACE, any case, or the numbers of LXC (0 trace … 8 fatal). False: unknown. */
bool parse_level(std::string_view text, Level &out);
void write(Level level, std::string_view step, std::string_view message);

inline void debug(std::string_view step, std::string_view message) {
	write(Level::debug, step, message);
}
inline void info(std::string_view step, std::string_view message) {
	write(Level::info, step, message);
}
inline void warn(std::string_view step, std::string_view message) {
	write(Level::warn, step, message);
}

} // namespace tslxc::log
