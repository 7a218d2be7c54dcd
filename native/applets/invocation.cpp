#include "applets.hpp"

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
	return text;
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
		const std::string text = cat("tslxc ", invocation.verb, ": ", line, '\n');
		[[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
	}
}

void print(std::string_view text) {
	write_all(STDOUT_FILENO, text, "standard output");
}

void require_defined(const Invocation &invocation, const std::string &name, const char *verb) {
	if (!exists(invocation.paths.container_dir(name) + "/config.yaml")) {
		throw_error("not-found", cat("cannot ", verb == nullptr ? invocation.verb.c_str() : verb, " '", name, "': it doesn't exist"),
					cat("'tslxc ls' shows what is in ", invocation.paths.lxcpath));
	}
}

void throw_not_running(const Invocation &invocation, const std::string &name, int exit_code) {
	ErrorInfo info;
	info.code = "not-running";
	info.message = cat("cannot ", invocation.verb, " '", name, "': it is not running");
	info.exit_code = exit_code;
	throw SysError(std::move(info));
}

} // namespace tslxc
