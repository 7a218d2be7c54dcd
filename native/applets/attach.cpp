#include "../container/attach.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../kernel/protect.hpp"
#include "applets.hpp"
#include "node.hpp"

namespace tslxc {

namespace {

std::string lower(std::string text) {
	std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
	return text;
}

std::vector<std::string> words_of(const std::string &list) {
	std::vector<std::string> out;
	for (const auto &part : split(list, '|')) {
		for (const auto &word : split(part, ',')) {
			out.emplace_back(trim(word));
		}
	}
	return out;
}

void read_elevation(const Invocation &invocation, AttachRequest &request) {
	if (invocation.has("namespaces")) {
		request.keep_capabilities = request.keep_cgroup = request.keep_lsm = true;
	}
	for (const auto &list : invocation.values("elevated-privileges")) {
		if (list.empty()) {
			request.keep_capabilities = request.keep_cgroup = request.keep_lsm = true;
			continue;
		}
		for (const auto &given : words_of(list)) {
			const std::string word = lower(given);
			if (word == "cap") {
				request.keep_capabilities = true;
			} else if (word == "cgroup") {
				request.keep_cgroup = true;
			} else if (word == "lsm") {
				request.keep_lsm = true;
			} else {
				throw_error("usage", cat("cannot elevate '", given, "': it is none of CAP, CGROUP, LSM"));
			}
		}
	}
}

void read_namespaces(const Invocation &invocation, AttachRequest &request) {
	request.namespaces = container_namespaces(request.spec);
	auto list = invocation.value("namespaces");
	if (!list) {
		return;
	}
	struct Name {
		const char *name;
		int flag;
	};
	// LXC's words, and those of /proc/PID/ns.
	constexpr std::array names = {Name{"mount", CLONE_NEWNS},	   Name{"mnt", CLONE_NEWNS},   Name{"pid", CLONE_NEWPID},
								  Name{"utsname", CLONE_NEWUTS},   Name{"uts", CLONE_NEWUTS},  Name{"ipc", CLONE_NEWIPC},
								  Name{"user", CLONE_NEWUSER},	   Name{"net", CLONE_NEWNET},  Name{"network", CLONE_NEWNET},
								  Name{"cgroup", CLONE_NEWCGROUP}, Name{"time", CLONE_NEWTIME}};
	int wanted = 0;
	for (const auto &word : words_of(*list)) {
		auto found = std::ranges::find_if(names, [&](const Name &one) { return lower(word) == one.name; });
		if (found == names.end()) {
			throw_error("usage", cat("cannot enter namespace '", word, "': it is none of MOUNT, PID, UTSNAME, IPC, USER, NETWORK"));
		}
		wanted |= found->flag;
	}
	request.namespaces &= wanted;
}

std::optional<unsigned long> read_personality(const Invocation &invocation) {
	auto arch = invocation.value("arch");
	if (!arch) {
		return {};
	}
	constexpr std::array narrow = {"x86",	"i386",	 "i486",  "i586",	"i686", "linux32", "arm",
								   "armhf", "armel", "armv7", "armv7l", "ppc",	"powerpc", "mips"};
	constexpr std::array wide = {"x86_64",	"amd64",   "linux64", "aarch64", "arm64",		"ppc64", "ppc64le",
								 "ppc64el", "riscv64", "s390x",	  "loong64", "loongarch64", "mips64"};
	auto is = [&](const char *name) { return *arch == name; };
	if (std::ranges::any_of(narrow, is)) {
		return 8; // PER_LINUX32
	}
	if (std::ranges::any_of(wide, is)) {
		return 0;
	}
	throw_error("usage", cat("cannot use '", *arch, "' as an architecture"), "try x86_64 or i686");
}

std::optional<unsigned> read_id(const Invocation &invocation, const char *flag) {
	auto text = invocation.value(flag);
	auto number = text ? to_int(*text) : std::nullopt;
	if (text && (!number || *number < 0 || *number >= 0xffffffffLL)) {
		throw_error("usage", cat("cannot use '", *text, "' as --", flag, ": it is no number from 0 to 4294967294"));
	}
	return number ? std::optional(static_cast<unsigned>(*number)) : std::nullopt;
}

std::string name_of(const std::string &variable) {
	return variable.substr(0, variable.find('='));
}

void set_variable(std::vector<std::string> &env, const std::string &variable) {
	auto start = cat(name_of(variable), "=");
	std::erase_if(env, [&](const std::string &entry) { return entry.starts_with(start); });
	env.push_back(variable);
}

void read_environment(const Invocation &invocation, AttachRequest &request) {
	// The last of --clear-env and --keep-env counts.
	bool clear = false;
	for (const auto &flag : invocation.flags) {
		clear = flag.first == "clear-env" || (clear && flag.first != "keep-env");
	}
	auto keep = invocation.values("keep-var");
	bool has_path = false;
	for (char **entry = environ; *entry != nullptr; entry++) {
		std::string variable = *entry;
		bool named = std::ranges::find(keep, name_of(variable)) != keep.end();
		if (!clear || named) {
			has_path = has_path || variable.starts_with("PATH=");
			request.env.push_back(std::move(variable));
		}
	}
	if (!has_path) {
		request.env.push_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	}
	set_variable(request.env, "container=lxc");
	for (const auto &variable : request.spec.init.env) {
		set_variable(request.env, variable);
	}
	for (const auto &variable : invocation.values("set-var")) {
		if (variable.find('=') == variable.npos || variable[0] == '=') {
			throw_error("usage", cat("cannot set '", variable, "': it is not VAR=VALUE"));
		}
		set_variable(request.env, variable);
		keep.push_back(name_of(variable));
	}
	request.kept_env = std::move(keep);
}

void refuse_unsupported(const Invocation &invocation) {
	if (invocation.has("context")) {
		throw_error("usage", "option '--context' is not supported: SELinux labels are not");
	}
}

/** The plan the container was started from; the container's directory may hold a newer one. */
Spec spec_in_force(const std::string &run_dir, const std::string &name) {
	auto text = read_file_if_present(run_dir + "/spec.json");
	if (!text) {
		throw_error("native", cat("cannot attach to '", name, "': ", run_dir, "/spec.json is gone"),
					cat("restart it by 'tslxc stop -r ", name, "'"));
	}
	return parse_spec_for_entering(*text);
}

struct Plan {
	Spec spec;
	std::string filter;
};

/** What the container was started with; --rcfile replaces what the command is given, never what the container is. */
Plan read_plan(const Invocation &invocation, const std::string &run_dir) {
	Plan plan{spec_in_force(run_dir, invocation.name()), ""};
	if (auto file = invocation.value("rcfile")) {
		const std::unique_ptr<char, void (*)(void *)> resolved(::realpath(file->c_str(), nullptr), ::free);
		auto compiled = compile_once(invocation.paths, invocation.name(), {"--rcfile", resolved ? resolved.get() : *file});
		auto other = parse_spec_for_entering(compiled.spec);
		plan.spec.init = std::move(other.init);
		plan.spec.security = std::move(other.security);
		plan.spec.rlimits = std::move(other.rlimits);
		plan.filter = std::move(compiled.seccomp);
	} else if (!plan.spec.security.seccomp_filter.empty()) {
		plan.filter = read_file(cat(run_dir, "/", plan.spec.security.seccomp_filter));
	}
	return plan;
}

/** The words behind the program's name that led here, in the spelling of the multi-call program. */
std::vector<std::string> own_words(const Invocation &invocation) {
	auto words = split(read_file("/proc/self/cmdline"), '\0');
	words.pop_back(); // behind the last terminator
	auto program = words.empty() ? std::string() : words[0].substr(words[0].rfind('/') + 1);
	words.erase(words.begin());
	if (program.starts_with("tslxc-")) {
		words.insert(words.begin(), invocation.verb);
	}
	return words;
}

Observation require_running(const Invocation &invocation, const std::string &name, const std::string &run_dir) {
	auto seen = observe(run_dir);
	if (!seen.init_alive) {
		require_defined(invocation, name);
		throw_not_running(invocation, name, seen.state);
	}
	if (seen.state.state == RunState::frozen || seen.state.state == RunState::freezing) {
		throw_error("state", cat("cannot attach to '", name, "': it is frozen"), cat("run 'tslxc unfreeze ", name, "'"));
	}
	if (seen.state.state == RunState::starting) {
		// Its mount namespace may still show the host's files.
		throw_error("state", cat("cannot attach to '", name, "': it is starting"), cat("run 'tslxc wait ", name, " -s RUNNING' first"));
	}
	return seen;
}

} // namespace

int attach_applet(const Invocation &invocation) {
	refuse_unsupported(invocation);
	const auto &name = invocation.name();
	auto run_dir = invocation.paths.run_dir(name);
	auto seen = require_running(invocation, name, run_dir);
	auto plan = read_plan(invocation, run_dir);
	const auto &spec = plan.spec;
	if (!spec.unprivileged() && !program_is_protected()) {
		exec_protected(own_words(invocation));
	}
	AttachRequest request(name, spec, seen.state);
	request.report = [&](const ErrorInfo &error) { return report(invocation, error); };
	read_elevation(invocation, request);
	read_namespaces(invocation, request);
	request.remount = invocation.has("remount-sys-proc");
	request.uid = read_id(invocation, "uid");
	request.gid = read_id(invocation, "gid");
	request.personality = read_personality(invocation);
	request.argv = invocation.rest;
	read_environment(invocation, request);
	request.filter = std::move(plan.filter);
	if (auto log = invocation.value("pty-log")) {
		request.pty_log = open_or_throw(*log, O_WRONLY | O_APPEND | O_CREAT, 0640);
	}
	return attach(request);
}

} // namespace tslxc
