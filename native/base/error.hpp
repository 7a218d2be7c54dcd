// The one exception type of the native side, and what travels when it crosses a process boundary.
#pragma once

#include <cerrno>
#include <exception>
#include <string>

namespace tslxc {

/** What a user and a script are told. Shape on the wire and in --json: {code, message, hint?, step?, errno?}. */
struct ErrorInfo {
	std::string code = "native"; // the union of src/lib/errors.ts, kebab-case, e.g. "not-running", "busy", "not-found", "native"
	std::string message;		 // `cannot <verb> <object>: <reason>`, no full stop
	std::string hint;			 // an imperative that can be typed; empty: none
	std::string step;			 // the step of the plan that failed, e.g. "mount"; empty: none
	int error_number = 0;		 // errno(3), 0: none
	int exit_code = 1;
};

class SysError : public std::exception {
public:
	explicit SysError(ErrorInfo info) : info_(std::move(info)) {}
	const char *what() const noexcept override { return info_.message.c_str(); }
	const ErrorInfo &info() const { return info_; }
	ErrorInfo &info() { return info_; }

private:
	ErrorInfo info_;
};

/** Throws `what: <strerror(error_number)>` for a failed system call. `what` reads `cannot <verb> <object>`. */
[[noreturn]] void throw_errno(const char *step, const std::string &what, int error_number = errno, const std::string &hint = {});

/** Throws a failure that is no system call's. */
[[noreturn]] void throw_error(const char *code, const std::string &message, const std::string &hint = {});

} // namespace tslxc
