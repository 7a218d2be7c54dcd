#include "applets.hpp"

#include <sys/wait.h>

#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/text.hpp"
#include "../spec/message.hpp"

namespace tslxc {

bool Invocation::has(std::string_view flag) const {
	for (const auto &[name, value] : flags) {
		if (name == flag) {
			return true;
		}
	}
	return false;
}

std::vector<std::string> Invocation::values(std::string_view flag) const {
	std::vector<std::string> out;
	for (const auto &[name, value] : flags) {
		if (name == flag) {
			out.push_back(value);
		}
	}
	return out;
}

std::optional<std::string> Invocation::value(std::string_view flag) const {
	const auto all = values(flag);
	if (all.empty()) {
		return std::nullopt;
	}
	return flag == "lxcpath" ? all.front() : all.back();
}

std::optional<std::int64_t> Invocation::number(std::string_view flag, std::int64_t least) const {
	const auto text = value(flag);
	if (!text) {
		return std::nullopt;
	}
	const auto number = to_int(*text);
	// Times are multiplied by a thousand: what does not fit an int then is as good as for ever, and refused.
	if (!number || *number < least || *number > 2'000'000) {
		throw_error("usage", cat("option '--", flag, "' needs a whole number of at least ", least, ", not '", *text, "'"));
	}
	return number;
}

std::string error_text(const std::string &verb, const ErrorInfo &error) {
	std::string text = cat("tslxc", verb.empty() ? "" : " ", verb, ": ", error.message, '\n');
	if (!error.hint.empty()) {
		text += cat("  hint: ", error.hint, '\n');
	}
	return printable(text);
}

int report(const Invocation &invocation, const ErrorInfo &error) {
	if (invocation.json) {
		print(cat("{\"error\":", write_error(error), "}\n"));
	} else if (!invocation.quiet) {
		const std::string text = error_text(invocation.verb, error);
		[[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
	}
	return error.exit_code;
}

void say(const Invocation &invocation, std::string_view line) {
	if (!invocation.quiet) {
		const std::string text = printable(cat("tslxc ", invocation.verb, ": ", line, '\n'));
		[[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
	}
}

void print(std::string_view text) {
	write_all(STDOUT_FILENO, text, "standard output");
}

namespace {
/** The verb as it is said of a container. */
std::string spoken(std::string_view verb) {
	return verb == "attach" ? "attach to" : verb == "console" ? "connect to" : verb == "info" ? "show" : std::string(verb);
}
} // namespace

void require_defined(const Invocation &invocation, const std::string &name) {
	if (!exists(invocation.paths.container_dir(name) + "/config.yaml")) {
		throw_error("not-found", cat("cannot ", spoken(invocation.verb), " '", name, "': it doesn't exist"),
					cat("'tslxc ls' shows what is in ", invocation.paths.lxcpath));
	}
}

std::string console_lines(std::string_view tail) {
	return tail.empty() ? "" : cat("\n  last lines of its console:\n    ", join(split(trim(tail), '\n'), "\n    "));
}

std::string last_words(const State &state) {
	if (!state.failed || !state.exit_status) {
		return "";
	}
	const int status = *state.exit_status;
	return cat("its init ended by itself with ", WIFSIGNALED(status) ? "signal " : "exit code ",
			   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), console_lines(state.console_tail));
}

void throw_not_running(const Invocation &invocation, const std::string &name, const State &last, int exit_code) {
	const std::string words = last_words(last);
	ErrorInfo info;
	info.code = "not-running";
	info.message = cat("cannot ", spoken(invocation.verb), " '", name, "': it is not running", words.empty() ? "" : "; ", words);
	info.hint = invocation.verb == "stop" ? ""
				: words.empty()			  ? cat("run 'tslxc start ", name, "'")
										  : cat("watch it by 'tslxc start -F ", name, "'");
	info.exit_code = exit_code;
	throw SysError(std::move(info));
}

} // namespace tslxc
