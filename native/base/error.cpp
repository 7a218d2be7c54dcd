#include "error.hpp"

#include <cstring>

#include "text.hpp"

namespace tslxc {

namespace {
const char *code_of(int error_number) {
	switch (error_number) {
	case EACCES:
	case EPERM:
		return "permission";
	case ENOSPC:
	case EDQUOT:
		return "no-space";
	case ETIMEDOUT:
		return "timeout";
	default:
		return "native";
	}
}
} // namespace

void throw_errno(const char *step, const std::string &what, int error_number, const std::string &hint) {
	ErrorInfo info;
	info.code = code_of(error_number);
	info.message = cat(what, ": ", std::strerror(error_number));
	info.hint = hint;
	info.step = step;
	info.error_number = error_number;
	throw SysError(std::move(info));
}

void throw_error(const char *code, const std::string &message, const std::string &hint) {
	ErrorInfo info;
	info.code = code;
	info.message = message;
	info.hint = hint;
	throw SysError(std::move(info));
}

} // namespace tslxc
