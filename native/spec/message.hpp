// Short JSON messages: answers of the monitor, the line of the start pipe, errors of a compile child.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.hpp"

namespace tslxc {

/** `{"code","message","hint"?,"step"?,"errno"?}`; exitCode is added where it is not 1. */
std::string write_error(const ErrorInfo &error);

struct Reply {
	bool ok = false;
	ErrorInfo error;	 // when not ok
	long pid = 0;		 // start pipe
	std::string console; // start pipe: the last lines of the console
};
/** `{"ok":true,…}` or `{"ok":false,"error":{…},…}`; text that is neither is an error "native" that quotes it. */
Reply parse_reply(std::string_view json);
/** Of every line that is `{"error":{…}}`. */
std::vector<ErrorInfo> find_error_lines(std::string_view text);

/** `{"spec":{…},"seccomp":"base64"}` of `compile --to-fd`: the spec's JSON and the base64 text, "" when absent. */
std::pair<std::string, std::string> parse_compiled(std::string_view json);

} // namespace tslxc
