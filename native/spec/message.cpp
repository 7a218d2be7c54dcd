#include "message.hpp"

#include <nlohmann/json.hpp>

#include "../base/json.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {
using Json = nlohmann::json;

std::string text_at(const Json &object, const char *key) {
	const auto found = object.find(key);
	return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int number_at(const Json &object, const char *key, int otherwise) {
	const auto found = object.find(key);
	return found != object.end() && found->is_number_integer() ? found->get<int>() : otherwise;
}

ErrorInfo read_error(const Json &value) {
	ErrorInfo info;
	info.code = text_at(value, "code");
	info.message = text_at(value, "message");
	info.hint = text_at(value, "hint");
	info.step = text_at(value, "step");
	info.error_number = number_at(value, "errno", 0);
	info.exit_code = number_at(value, "exitCode", 1);
	return info;
}
} // namespace

std::string write_error(const ErrorInfo &error) {
	JsonWriter out('{');
	out.field("code", error.code);
	out.field("message", error.message);
	if (!error.hint.empty()) {
		out.field("hint", error.hint);
	}
	if (!error.step.empty()) {
		out.field("step", error.step);
	}
	if (error.error_number != 0) {
		out.raw("errno", cat(error.error_number));
	}
	if (error.exit_code != 1) {
		out.raw("exitCode", cat(error.exit_code));
	}
	return out.done();
}

Reply parse_reply(std::string_view json) {
	Reply out;
	const Json value = Json::parse(json, nullptr, false);
	if (!value.is_object() || !value.contains("ok")) {
		out.error.message = cat("cannot read an answer: '", trim(json.substr(0, 200)), "'");
		return out;
	}
	out.ok = value["ok"] == true;
	if (!out.ok && value.contains("error") && value["error"].is_object()) {
		out.error = read_error(value["error"]);
	}
	out.pid = number_at(value, "pid", 0);
	out.console = text_at(value, "console");
	return out;
}

std::vector<ErrorInfo> find_error_lines(std::string_view text) {
	std::vector<ErrorInfo> out;
	for (const std::string &line : split(text, '\n')) {
		const Json value = line.starts_with("{") ? Json::parse(line, nullptr, false) : Json();
		if (value.is_object() && value.contains("error") && value["error"].is_object()) {
			out.push_back(read_error(value["error"]));
		}
	}
	return out;
}

std::pair<std::string, std::string> parse_compiled(std::string_view json) {
	const auto value = nlohmann::ordered_json::parse(json, nullptr, false);
	if (!value.is_object() || !value.contains("spec")) {
		throw_error("internal", "cannot read what the compiler wrote");
	}
	const auto seccomp = value.find("seccomp");
	const bool filtered = seccomp != value.end() && seccomp->is_string();
	return {value["spec"].dump(), filtered ? seccomp->get<std::string>() : std::string()};
}

} // namespace tslxc
