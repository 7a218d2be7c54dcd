// What the native verbs are given and what they share. main.cpp parses, makes an Invocation, calls `int VERB_applet(const Invocation &)`
// and renders what is thrown; the value returned is the exit code.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../base/error.hpp"
#include "../spec/paths.hpp"
#include "options.hpp"

namespace tslxc {

struct Invocation {
	std::string verb;										// "attach"
	std::vector<std::string> names;							// checked container names; exactly one for a verb of one name
	std::vector<std::string> rest;							// the command of attach and start, the pattern of ls
	std::vector<std::pair<std::string, std::string>> flags; // by long name
	Paths paths;											// -P applied
	bool json = false;
	bool quiet = false;

	const std::string &name() const { return names.front(); }
	bool has(std::string_view flag) const;
	/** Of the last one given. */
	std::optional<std::string> value(std::string_view flag) const;
	/** Of all, in order, for those that may be repeated. */
	std::vector<std::string> values(std::string_view flag) const;
	/** A number not below `least`; throws SysError "usage". */
	std::optional<std::int64_t> number(std::string_view flag, std::int64_t least) const;
};

/** Prints an error as everywhere (`tslxc VERB: message`, then `  hint: …`) on stderr unless quiet, or on stdout as JSON. Returns its exit
 * code. */
int report(const Invocation &invocation, const ErrorInfo &error);
/** `{"error":{…}}`, with the name of the container in front where several were asked for. */
std::string error_json(const ErrorInfo &error);
/** A line of progress on stderr, unless quiet. */
void say(const Invocation &invocation, std::string_view line);
void print(std::string_view text);
/** Exit code and error of NAME neither defined nor running: throws SysError "not-found". Returns the container's directory. */
std::string require_container(const Invocation &invocation, const std::string &name);

int attach_applet(const Invocation &invocation);
int console_applet(const Invocation &invocation);
int start_applet(const Invocation &invocation);
int stop_applet(const Invocation &invocation);
int freeze_applet(const Invocation &invocation);
int unfreeze_applet(const Invocation &invocation);
int wait_applet(const Invocation &invocation);
int info_applet(const Invocation &invocation);
int ls_applet(const Invocation &invocation);

} // namespace tslxc
