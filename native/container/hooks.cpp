#include "hooks.hpp"

#include <cstdlib>

#include "../base/error.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

std::string upper(std::string text) {
	for (char &c : text) {
		c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
	}
	return text;
}

std::vector<std::string> hook_environment(const Spec &spec, const std::string &point, const HookContext &context) {
	std::vector<std::string> env = spec.hook_env;
	for (const std::string &name : spec.hook_inherit_env) {
		if (const char *value = std::getenv(name.c_str())) {
			env.push_back(cat(name, '=', value));
		}
	}
	env.push_back(cat("LXC_NAME=", spec.name));
	env.push_back(cat("LXC_CONFIG_FILE=", spec.config_file));
	env.push_back(cat("LXC_ROOTFS_MOUNT=", context.rootfs_mount));
	env.push_back(cat("LXC_ROOTFS_PATH=", spec.rootfs_path));
	env.push_back(cat("LXC_CONSOLE=", context.console));
	env.push_back(cat("LXC_CONSOLE_LOGPATH=", spec.console.log_file));
	env.push_back(cat("LXC_LOG_LEVEL=", spec.log_level));
	env.push_back("LXC_CGNS_AWARE=1");
	env.push_back(cat("LXC_HOOK_VERSION=", spec.hook_version));
	if (context.init_pid > 0) {
		env.push_back(cat("LXC_PID=", context.init_pid));
	}
	if (!context.target.empty()) {
		env.push_back(cat("LXC_TARGET=", context.target));
	}
	if (spec.hook_version == 1) {
		env.push_back(cat("LXC_HOOK_TYPE=", point));
		env.push_back("LXC_HOOK_SECTION=lxc");
		for (const auto &[name, path] : context.namespaces) {
			env.push_back(cat("LXC_", upper(name), "_NS=", path));
		}
	}
	return env;
}

std::vector<std::string> hook_argv(const Spec &spec, const std::string &point, const std::vector<std::string> &step,
								   const HookContext &context) {
	std::vector<std::string> argv = step;
	if (spec.hook_version == 0) {
		argv.insert(argv.end(), {spec.name, "lxc", point});
		for (const auto &[name, path] : context.namespaces) {
			argv.push_back(cat(name, ':', path));
		}
	}
	return argv;
}

std::string last_line(std::string_view output) {
	output = trim(output);
	const auto newline = output.rfind('\n');
	return std::string(newline == std::string_view::npos ? output : output.substr(newline + 1));
}

} // namespace

bool has_hooks(const Spec &spec, const std::string &point) {
	const auto found = spec.hooks.find(point);
	return found != spec.hooks.end() && !found->second.empty();
}

void run_hooks(const Spec &spec, const std::string &point, const HookContext &context) {
	if (!has_hooks(spec, point)) {
		return;
	}
	const std::vector<std::string> env = hook_environment(spec, point, context);
	for (const auto &step : spec.hooks.at(point)) {
		const RunResult result = run_program(hook_argv(spec, point, step, context), env);
		for (const std::string &line : split(trim(result.output), '\n')) {
			if (!line.empty()) {
				log::debug(cat("hook.", point), line);
			}
		}
		if (result.exit_code != 0) {
			ErrorInfo info;
			info.code = "command";
			info.step = cat("hook.", point);
			const std::string said = last_line(result.output);
			info.message = cat("hook ", point, " '", step.empty() ? "" : step[0], "' failed with exit code ", result.exit_code,
							   said.empty() ? "" : cat(": ", said));
			info.hint = cat("look at hook.", point, " in ", spec.config_file);
			throw SysError(info);
		}
	}
}

} // namespace tslxc
