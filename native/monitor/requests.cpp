#include "requests.hpp"

#include <array>

#include <nlohmann/json.hpp>

#include "../base/json.hpp"
#include "../base/text.hpp"
#include "../spec/message.hpp"

namespace tslxc {

namespace {

using Json = nlohmann::json;

constexpr std::array op_names{"stop", "reboot", "freeze", "unfreeze", "console", "console-log", "device"};

[[noreturn]] void refuse(const std::string &reason) {
	throw_error("usage", cat("cannot do what the monitor was asked for: ", reason));
}

template <typename T> T read_number(const Json &value, const std::string &key, std::int64_t least, std::int64_t most) {
	const auto number = value.is_number_integer() ? value.get<std::int64_t>() : most;
	if (!value.is_number_integer() || number < least || number > most) {
		refuse(cat("'", key, "' is no number in its range"));
	}
	return static_cast<T>(number);
}

bool read_flag(const Json &value, const std::string &key) {
	if (!value.is_boolean()) {
		refuse(cat("'", key, "' is neither true nor false"));
	}
	return value.get<bool>();
}

DeviceRule read_rule(const Json &value, bool add) {
	DeviceRule rule;
	rule.allow = add;
	if (!value.is_object()) {
		refuse("the device rule is no object");
	}
	for (const auto &item : value.items()) {
		if (item.key() == "type" && item.value().is_string() && item.value().get<std::string>().size() == 1) {
			rule.type = item.value().get<std::string>()[0];
		} else if (item.key() == "access" && item.value().is_string()) {
			rule.access = item.value().get<std::string>();
		} else if (item.key() == "major") {
			rule.major = read_number<unsigned>(item.value(), item.key(), 0, (1 << 12) - 1);
		} else if (item.key() == "minor") {
			rule.minor = read_number<unsigned>(item.value(), item.key(), 0, (1 << 20) - 1);
		} else {
			refuse(cat("'", item.key(), "' is wrong in a device rule"));
		}
	}
	return rule;
}

void read_key(MonitorCommand &command, const std::string &key, const Json &value) {
	constexpr std::int64_t day_ms = 24LL * 3600 * 1000;
	if (key == "signal") {
		command.signal = read_number<int>(value, key, 1, 64);
	} else if (key == "timeoutMs") {
		command.timeout_ms = read_number<int>(value, key, -1, 20 * day_ms);
	} else if (key == "tty") {
		command.tty = read_number<int>(value, key, 0, 1024);
	} else if (key == "maxBytes") {
		command.max_bytes = read_number<std::uint64_t>(value, key, 0, INT64_MAX);
	} else if (key == "kill") {
		command.kill = read_flag(value, key);
	} else if (key == "killAfter") {
		command.kill_after = read_flag(value, key);
	} else if (key == "wait") {
		command.wait = read_flag(value, key);
	} else if (key == "clear") {
		command.clear = read_flag(value, key);
	} else if (key == "add" || key == "remove") {
		command.add = key == "add";
		command.rule = read_rule(value, command.add);
	} else {
		refuse(cat("'", key, "' is unknown"));
	}
}

std::string rule_json(const DeviceRule &rule) {
	JsonWriter out('{');
	out.field("type", std::string(1, rule.type));
	if (rule.major) {
		out.raw("major", cat(*rule.major));
	}
	if (rule.minor) {
		out.raw("minor", cat(*rule.minor));
	}
	out.field("access", rule.access);
	return out.done();
}

void add_number(JsonWriter &out, const char *key, const std::optional<int> &value) {
	if (value) {
		out.raw(key, cat(*value));
	}
}

} // namespace

std::string write_command(const MonitorCommand &command) {
	JsonWriter out('{');
	out.raw("v", "1");
	out.field("op", op_names[static_cast<std::size_t>(command.op)]);
	add_number(out, "signal", command.signal);
	add_number(out, "timeoutMs", command.timeout_ms);
	add_number(out, "tty", command.tty);
	if (command.kill) {
		out.raw("kill", "true");
	}
	if (!command.kill_after) {
		out.raw("killAfter", "false");
	}
	if (!command.wait) {
		out.raw("wait", "false");
	}
	if (command.clear) {
		out.raw("clear", "true");
	}
	if (command.max_bytes > 0) {
		out.raw("maxBytes", cat(command.max_bytes));
	}
	if (command.op == MonitorCommand::Op::device) {
		out.raw(command.add ? "add" : "remove", rule_json(command.rule));
	}
	return out.done();
}

MonitorCommand parse_command(std::string_view json) {
	const Json body = Json::parse(json, nullptr, false);
	if (!body.is_object()) {
		throw_error("malformed", "cannot read a request: it is no JSON object");
	}
	if (!body.contains("v") || body["v"] != 1) {
		refuse("its version is not 1");
	}
	if (!body.contains("op") || !body["op"].is_string()) {
		refuse("'op' is missing");
	}
	const std::string op = body["op"].get<std::string>();
	MonitorCommand command;
	std::size_t index = 0;
	while (index < op_names.size() && op != op_names[index]) {
		++index;
	}
	if (index == op_names.size()) {
		refuse(cat("op '", op, "' is unknown"));
	}
	command.op = static_cast<MonitorCommand::Op>(index);
	for (const auto &item : body.items()) {
		if (item.key() != "v" && item.key() != "op") {
			read_key(command, item.key(), item.value());
		}
	}
	return command;
}

std::string write_ok() {
	return R"({"ok":true})";
}

std::string write_console_granted(int tty) {
	return cat(R"({"ok":true,"tty":)", tty, "}");
}

std::string write_log_granted(std::uint64_t bytes) {
	return cat(R"({"ok":true,"bytes":)", bytes, "}");
}

std::string write_failure(const ErrorInfo &error) {
	return cat(R"({"ok":false,"error":)", write_error(error), "}");
}

int parse_monitor_reply(std::string_view json) {
	Reply reply = parse_reply(json);
	if (!reply.ok) {
		throw SysError(std::move(reply.error));
	}
	const Json body = Json::parse(json, nullptr, false);
	return body.contains("tty") && body["tty"].is_number_integer() ? body["tty"].get<int>() : 0;
}

} // namespace tslxc
