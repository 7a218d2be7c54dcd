#include "info_keys.hpp"

#include <algorithm>
#include <string_view>

namespace tslxc {

namespace {
using namespace std::string_view_literals;

/** LXC prints these lists with a newline behind every element, the others with one between. */
constexpr auto each_with_newline = {"lxc.cap."sv,  "lxc.group"sv,	"lxc.environment"sv, "lxc.mount.entry"sv, "lxc.hook."sv,
									"lxc.idmap"sv, "lxc.prlimit"sv, "lxc.cgroup"sv,		 "lxc.sysctl"sv,	  "lxc.proc"sv};

constexpr auto zero_when_unset = {"lxc.start.auto"sv,  "lxc.start.order"sv,	   "lxc.start.delay"sv,			"lxc.ephemeral"sv,
								  "lxc.tty.max"sv,	   "lxc.pty.max"sv,		   "lxc.hook.version"sv,		"lxc.no_new_privs"sv,
								  "lxc.init.uid"sv,	   "lxc.init.gid"sv,	   "lxc.signal.halt"sv,			"lxc.signal.reboot"sv,
								  "lxc.signal.stop"sv, "lxc.console.rotate"sv, "lxc.console.buffer.size"sv, "lxc.console.size"sv};

constexpr auto empty_when_unset = {"lxc.arch"sv,		"lxc.init.cmd"sv,	  "lxc.init.cwd"sv,		   "lxc.log.file"sv,
								   "lxc.environment"sv, "lxc.console.path"sv, "lxc.console.logfile"sv, "lxc.tty.dir"sv,
								   "lxc.group"sv,		"lxc.cap.drop"sv,	  "lxc.cap.keep"sv,		   "lxc.idmap"sv,
								   "lxc.mount.entry"sv, "lxc.mount.fstab"sv,  "lxc.mount.auto"sv,	   "lxc.rootfs.options"sv,
								   "lxc.cgroup"sv,		"lxc.cgroup2"sv,	  "lxc.prlimit"sv};

bool holds(std::initializer_list<std::string_view> keys, std::string_view key) {
	return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::optional<std::string> unset_value(std::string_view key) {
	if (key == "lxc.autodev") {
		return "1";
	}
	if (holds(zero_when_unset, key)) {
		return "0";
	}
	return holds(empty_when_unset, key) || key.starts_with("lxc.hook.") ? std::optional(std::string()) : std::nullopt;
}
} // namespace

std::optional<std::string> find_key(const Spec &spec, const std::string &key) {
	const std::string full = key.starts_with("lxc.") ? key : "lxc." + key;
	const bool newlines = std::any_of(each_with_newline.begin(), each_with_newline.end(),
									  [&full](std::string_view prefix) { return full.starts_with(prefix); });
	std::optional<std::string> out;
	for (const auto &[name, value] : spec.keys) {
		if (name != full) {
			continue;
		}
		if (out && !newlines) {
			*out += '\n';
		}
		out = out.value_or("") + value;
		if (newlines) {
			*out += '\n';
		}
	}
	return out ? out : unset_value(full);
}

} // namespace tslxc
