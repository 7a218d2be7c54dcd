#include "init.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../kernel/caps.hpp"
#include "../kernel/syscalls.hpp"
#include "devices.hpp"
#include "guest_files.hpp"
#include "hooks.hpp"
#include "limits.hpp"
#include "locked_mounts.hpp"
#include "mounts.hpp"
#include "network.hpp"
#include "sync.hpp"

namespace tslxc {

namespace {

void reset_signals() {
	for (int number = 1; number < NSIG; ++number) {
		::signal(number, SIG_DFL);
	}
	sigset_t none;
	::sigemptyset(&none);
	::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/** The namespace's roots are the cgroups the process is in now, in every hierarchy. cgroup_namespaces(7) */
void enter_own_cgroups(const Spec &spec, const CgroupEntries &entries) {
	enter_v1(entries);
	if (spec.creates("cgroup") && ::unshare(CLONE_NEWCGROUP) < 0) {
		throw_errno("cgroup-namespace", "cannot make the cgroup namespace");
	}
}

void configure_network(const Spec &spec, const Links &links) {
	if (!spec.creates("net") || spec.join_namespaces.contains("net")) {
		return;
	}
	std::vector<InterfacePlan> plans = spec.network;
	for (std::size_t i = 0; i < plans.size() && i < links.gateways.size(); ++i) {
		plans[i].gateways = links.gateways[i];
	}
	configure_links(plans, links.made);
}

void set_hostname(const Spec &spec) {
	if (spec.creates("uts") && !spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) < 0) {
		throw_errno("hostname", cat("cannot set the hostname '", spec.hostname, "'"));
	}
}

bool has_key(const std::vector<std::string> &env, std::string_view key) {
	for (const std::string &entry : env) {
		if (entry.size() > key.size() && entry.starts_with(key) && entry[key.size()] == '=') {
			return true;
		}
	}
	return false;
}

/** systemd's getty generator starts a getty on each name of container_ttys. systemd's CONTAINER_INTERFACE */
std::string container_ttys(const Spec &spec) {
	std::string names;
	for (int number = 1; number <= spec.console.ttys; ++number) {
		names += cat(names.empty() ? "" : " ", "pts/", has_console(spec) ? number : number - 1);
	}
	return names;
}

std::vector<std::string> init_environment(const Spec &spec) {
	std::vector<std::string> env = spec.init.env;
	for (const std::string &name : spec.init.inherit_env) {
		if (const char *value = std::getenv(name.c_str()); value != nullptr && !has_key(env, name)) {
			env.push_back(cat(name, '=', value));
		}
	}
	if (spec.console.ttys > 0 && !has_key(env, "container_ttys")) {
		env.push_back(cat("container_ttys=", container_ttys(spec)));
	}
	// What the kernel gives an init of its own. init/main.c
	for (const char *entry : {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=linux"}) {
		const std::string_view text = entry;
		if (!has_key(env, text.substr(0, text.find('=')))) {
			env.emplace_back(text);
		}
	}
	return env;
}

void change_directory(const Spec &spec) {
	if (!spec.init.cwd.empty() && ::chdir(spec.init.cwd.c_str()) < 0) {
		throw_errno("cwd", cat("cannot change to '", spec.init.cwd, "' in the container"), errno, "check init.cwd");
	}
}

[[noreturn]] void execute(const Spec &spec, const std::vector<std::string> &env) {
	std::vector<char *> argv, envp;
	for (const std::string &word : spec.init.argv) {
		argv.push_back(const_cast<char *>(word.c_str()));
	}
	for (const std::string &entry : env) {
		envp.push_back(const_cast<char *>(entry.c_str()));
	}
	argv.push_back(nullptr);
	envp.push_back(nullptr);
	// Everything but the three streams closes by the exec, the sync socket too: that is how the monitor learns of it.
	sys::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	::execvpe(argv[0], argv.data(), envp.data());
	const int error_number = errno;
	const bool file_there = ::access(argv[0], F_OK) == 0;
	throw_errno("exec", cat("cannot run init '", argv[0], "'"), error_number,
				error_number == ENOENT && file_there ? "its interpreter or dynamic loader is missing in the container's rootfs"
				: error_number == ENOENT			 ? cat("put it into ", spec.rootfs_path, ", or set init.cmd in ", spec.config_file)
				: error_number == ENOEXEC			 ? "it is built for another architecture"
													 : "");
}

/** From the first mount to the new root. Order: /dev before what is mounted below it; hooks between the last mount and pivot_root. */
void build_root(const InitArguments &arguments, MonitorPeer &monitor, MountsPacket built, int directory_fd) {
	const Spec &spec = arguments.spec;
	HookContext hooks;
	hooks.rootfs_mount = arguments.rootfs_mount;
	hooks.console = spec.console.path;
	make_mounts_private();
	if (built.staging) {
		attach_staging(built.staging.get(), directory_fd);
		monitor.send_staged();
	}
	run_hooks(spec, "pre-mount", hooks);
	const Fd root = attach_rootfs(spec, built, directory_fd);
	mount_dev(spec, root.get());
	if (built.staging) {
		monitor.wait_for_locked();
	}
	attach_mounts(spec, built, root.get());
	fill_dev(spec, root.get());
	const std::vector<Fd> terminals = make_terminals(spec, root.get());
	std::vector<int> masters;
	for (const Fd &terminal : terminals) {
		masters.push_back(terminal.get());
	}
	monitor.send_terminals(masters);
	run_hooks(spec, "mount", hooks);
	if (spec.autodev) {
		run_hooks(spec, "autodev", hooks);
	}
	if (has_rootfs(spec)) {
		enter_rootfs(root.get());
	}
}

void take_on_limits(const InitArguments &arguments) {
	const Spec &spec = arguments.spec;
	if (spec.init.personality) {
		set_personality(*spec.init.personality);
	}
	if (spec.security.keyring) {
		join_new_session_keyring();
	}
	const std::uint64_t kept = kept_capabilities(spec.security);
	// The bounding set needs CAP_SETPCAP, the ids CAP_SETUID, the filter CAP_SYS_ADMIN: the effective set shrinks last.
	limit_bounding_set(kept);
	change_ids(spec.init.uid, spec.init.gid, spec.init.groups);
	die_with_parent();
	change_directory(spec);
	if (spec.security.no_new_privileges) {
		set_no_new_privileges();
	}
	load_seccomp_filter(arguments.seccomp_filter);
	set_capabilities(kept);
}

[[noreturn]] void carry_out(InitArguments &arguments, MonitorPeer &monitor) {
	const Spec &spec = arguments.spec;
	reset_signals();
	::setsid();
	::umask(022);
	enter_own_cgroups(spec, arguments.cgroups);
	if (!arguments.oom_score.empty()) {
		write_file("/proc/self/oom_score_adj", arguments.oom_score);
	}
	// Opened before the ids change: afterwards the host's 0700 directories on the way are closed to us.
	Fd directory = has_rootfs(spec) || !spec.mounts.empty() ? open_or_throw(arguments.rootfs_mount, O_PATH | O_DIRECTORY) : Fd();
	MountsPacket built = monitor.receive_mounts();
	if (spec.unprivileged()) {
		become_namespace_root();
	}
	die_with_parent();
	build_root(arguments, monitor, std::move(built), directory.get());
	// From here on paths are the guest's, and a symbolic link of its making to /proc/self/fd/N/.. would lead out by any directory of the
	// host's: the monitor's, ours and the cgroups' go now.
	directory.reset();
	arguments.cgroups = {};
	close_all_but(monitor.descriptor(), log::file_descriptor());
	hide_paths(spec.security);
	set_hostname(spec);
	write_guest_files(spec.files);
	configure_network(spec, monitor.receive_links());
	const std::vector<std::string> env = init_environment(spec);
	monitor.send_ready();
	monitor.wait_for_exec();
	HookContext hooks;
	hooks.rootfs_mount = arguments.rootfs_mount;
	hooks.init_pid = 1;
	run_hooks(spec, "start", hooks);
	take_console(spec);
	take_on_limits(arguments);
	execute(spec, env);
}

} // namespace

void run_init(InitArguments arguments) noexcept {
	MonitorPeer monitor(std::move(arguments.sync));
	try {
		carry_out(arguments, monitor);
	} catch (const SysError &error) {
		monitor.send_error(error.info());
	} catch (const std::exception &error) {
		ErrorInfo info;
		info.code = "internal";
		info.message = cat("cannot set the container up: ", error.what());
		monitor.send_error(info);
	}
	::_exit(1);
}

} // namespace tslxc
