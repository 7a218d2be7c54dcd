// The packets of monitor.sock, both ways. docs/protocol.md
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "../base/error.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

struct MonitorCommand {
	enum class Op { stop, reboot, freeze, unfreeze, console, console_log, device } op = Op::stop;
	std::optional<int> signal, timeout_ms, tty;
	bool kill = false, kill_after = true, wait = true; // stop
	bool clear = false;								   // console-log
	std::uint64_t max_bytes = 0;
	bool add = true; // device
	DeviceRule rule;
};

std::string write_command(const MonitorCommand &command);
/** Throws SysError "usage" on an unknown op, key, version or type; "malformed" when it is no JSON object at all. */
MonitorCommand parse_command(std::string_view json);

std::string write_ok();
std::string write_console_granted(int tty);
std::string write_log_granted(std::uint64_t bytes);
std::string write_failure(const ErrorInfo &error);

/** The tty of an {ok:true} reply, 0 when it has none. Throws what the reply says. */
int parse_monitor_reply(std::string_view json);

} // namespace tslxc
