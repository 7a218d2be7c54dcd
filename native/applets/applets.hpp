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
#include "../spec/state.hpp"
#include "options.hpp"

namespace tslxc {

struct Invocation {
	std::string verb;										// "attach"
	std::vector<std::string> names;							// checked container names; exactly one for a verb of one name
	std::vector<std::string> rest;							// the command of attach and start, the pattern of ls
	std::vector<std::pair<std::string, std::string>> flags; // by long name
	Paths paths;											// -P applied
	int lock_timeout_ms = 30'000;							// --lock-timeout
	bool json = false;
	bool quiet = false;

	const std::string &name() const { return names.front(); }
	bool has(std::string_view flag) const;
	/** Of the last one given; of `lxcpath` the first, as in LXC. */
	std::optional<std::string> value(std::string_view flag) const;
	/** Of all, in order, for those that may be repeated. */
	std::vector<std::string> values(std::string_view flag) const;
	/** A number not below `least`; throws SysError "usage". */
	std::optional<std::int64_t> number(std::string_view flag, std::int64_t least) const;
};

/** The same as src/cli/errors.ts renders it (test/fixtures/errors.json). */
std::string error_text(const std::string &verb, const ErrorInfo &error);
/** Prints an error as everywhere (`tslxc VERB: message`, then `  hint: …`) on stderr unless quiet, or on stdout as JSON. Returns its exit
 * code. */
int report(const Invocation &invocation, const ErrorInfo &error);
/** A line on stderr, `tslxc VERB: …`, unless quiet. */
void say(const Invocation &invocation, std::string_view line);
/** Writes to stdout; a closed pipe ends the program silently. */
void print(std::string_view text);
/** Throws SysError "not-found" when NAME has no configuration. */
void require_defined(const Invocation &invocation, const std::string &name);
/** How init ended by itself and the last lines of its console, indented below; "" when that was no failure. */
std::string last_words(const State &state);
/** The last lines of a console as an error shows them, "" for none. */
std::string console_lines(std::string_view tail);
/** `cannot VERB 'NAME': it is not running`, with the last words of its init; exit code 1 unless another is given. */
[[noreturn]] void throw_not_running(const Invocation &invocation, const std::string &name, const State &last, int exit_code = 1);

/** Does something to one container; returns its exit code and fills in what --json prints for it. */
using ForOne = int (*)(const Invocation &invocation, const std::string &name, std::string &json);
/** One name here, several in a pool of as many children as there are cores. Reports errors; the exit code is 0, or 1 when one failed, or 2
 *  when the worst was a 2. JSON: one name an object, several an array in the order of the names, failed ones as {"name","error"}. */
int for_each_name(const Invocation &invocation, ForOne for_one);

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
