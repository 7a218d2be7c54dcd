// What happens between attach's clone and the command's exec. Each step gives something up; the order is explained where it matters.
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../kernel/caps.hpp"
#include "../kernel/clone_vm.hpp"
#include "../kernel/idmap.hpp"
#include "../kernel/syscalls.hpp"
#include "attach.hpp"
#include "limits.hpp"
#include "passwd.hpp"
#include "pty.hpp"

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

namespace tslxc {

namespace {

/** Opening /dev/stdout inside opens the pipe anew, which asks its owner's rights: the command's user gets anonymous pipes, nothing else. */
void give_pipes(const AttachRequest &request) {
	auto uid = map_id(request.spec.idmap, 'u', request.uid.value_or(0));
	auto gid = map_id(request.spec.idmap, 'g', request.gid.value_or(0));
	bool enters = (request.namespaces & CLONE_NEWUSER) != 0;
	if (enters ? !uid || !gid : !request.uid) {
		return;
	}
	for (int fd = 0; fd < 3; fd++) {
		struct statfs info {};
		if (::fstatfs(fd, &info) == 0 && info.f_type == PIPEFS_MAGIC) {
			[[maybe_unused]] int ignored = ::fchown(fd, enters ? *uid : *request.uid, enters ? *gid : request.gid.value_or(0));
		}
	}
}

void join_namespaces(const AttachRequest &request, int init, int flags) {
	if (flags != 0 && ::setns(init, flags) != 0) {
		throw_errno("attach", cat("cannot enter the namespaces of '", request.name, "'"));
	}
	::prctl(PR_SET_DUMPABLE, 0); // entering a user namespace may have set it to fs.suid_dumpable
}

// MS_REC | MS_SLAVE: <sys/mount.h> collides with <linux/mount.h> before glibc 2.37.
constexpr unsigned long slave_recursive = 0x4000 | 0x80000;

/** /proc and /sys that show the namespaces just entered, in a mount namespace of the command's own. */
void remount_kernel_filesystems() {
	if (::unshare(CLONE_NEWNS) != 0 || sys::mount(nullptr, "/", nullptr, slave_recursive, nullptr) != 0) {
		throw_errno("mount", "cannot make a mount namespace for -R");
	}
	for (auto [type, path] : {std::pair{"proc", "/proc"}, {"sysfs", "/sys"}}) {
		sys::umount2(path, sys::umount_detach);
		if (sys::mount(type, path, type, 0, nullptr) != 0) {
			throw_errno("mount", cat("cannot mount ", path, " for -R"));
		}
	}
}

void take_terminal(const AttachChild &child) {
	const auto &terminal = child.terminal;
	// A session of its own in any case: else /dev/tty inside would be the caller's terminal, and TIOCSTI types into it.
	::setsid();
	if (!terminal.any()) {
		return;
	}
	if ((child.request.namespaces & CLONE_NEWUSER) != 0) {
		become_namespace_root(); // a pty belongs to who opens it
		::prctl(PR_SET_DUMPABLE, 0);
	}
	auto pty = open_pty(terminal.modes, terminal.size, !terminal.stream[0]);
	if (::ioctl(pty.slave.get(), TIOCSCTTY, 0) != 0) {
		throw_errno("terminal", "cannot take the terminal in the container");
	}
	if (child.request.uid) {
		[[maybe_unused]] int ignored = ::fchown(pty.slave.get(), *child.request.uid, static_cast<gid_t>(-1));
	}
	send_packet(child.socket, "pty", {pty.master.get()});
	for (int fd = 0; fd < 3; fd++) {
		if (terminal.stream[fd] && ::dup2(pty.slave.get(), fd) < 0) {
			throw_errno("terminal", "cannot hand the terminal on");
		}
	}
	::close(child.socket);
}

struct User {
	std::optional<PasswdEntry> entry;
	uid_t uid;
	gid_t gid;
};

User find_user(const AttachRequest &request) {
	bool enters = (request.namespaces & CLONE_NEWUSER) != 0;
	User user{{}, request.uid.value_or(enters ? 0 : ::getuid()), 0};
	if (request.uid || request.argv.empty()) {
		user.entry = read_guest_passwd(user.uid);
	}
	user.gid = request.gid.value_or(user.entry && request.uid ? user.entry->gid : enters ? 0 : ::getgid());
	return user;
}

void restrict(const AttachRequest &request, const User &user) {
	const auto &security = request.spec.security;
	auto kept = kept_capabilities(security);
	if (security.keyring) {
		join_new_session_keyring();
	}
	if (!request.keep_capabilities) {
		limit_bounding_set(kept);
	}
	if (security.no_new_privileges) {
		set_no_new_privileges();
	}
	// Before the ids change: loading takes CAP_SYS_ADMIN.
	if (!request.keep_lsm && (request.namespaces & CLONE_NEWNS) != 0) {
		load_seccomp_filter(request.filter);
	}
	if (request.uid || request.gid || (request.namespaces & CLONE_NEWUSER) != 0) {
		change_ids(user.uid, user.gid, {});
	} else if (::setgroups(0, nullptr) != 0) {
		throw_errno("ids", "cannot drop supplementary groups");
	}
	if (!request.keep_capabilities) {
		set_capabilities(kept);
	}
	::prctl(PR_SET_DUMPABLE, 0);
}

void set_variable(std::vector<std::string> &env, const std::vector<std::string> &kept, const std::string &name, const std::string &value) {
	if (value.empty() || std::ranges::find(kept, name) != kept.end()) {
		return;
	}
	std::erase_if(env, [&](const std::string &entry) { return entry.starts_with(name + "="); });
	env.push_back(cat(name, "=", value));
}

std::vector<char *> pointers(std::vector<std::string> &texts) {
	std::vector<char *> out;
	for (auto &text : texts) {
		out.push_back(text.data());
	}
	out.push_back(nullptr);
	return out;
}

[[noreturn]] void throw_exec(const AttachRequest &request, const std::string &program, int error) {
	ErrorInfo info;
	info.code = error == ENOENT ? "not-found" : "native";
	info.step = "exec";
	info.error_number = error;
	info.exit_code = error == ENOENT ? 127 : 126;
	bool no_interpreter = error == ENOENT && program.find('/') != program.npos && ::access(program.c_str(), F_OK) == 0;
	const char *reason = no_interpreter		? "its interpreter is missing"
						 : error == ENOENT	? "not found"
						 : error == EACCES	? "permission denied"
						 : error == ENOEXEC ? "not an executable for this machine"
						 : error == ENOTDIR ? "a part of its path is not a directory"
						 : error == EISDIR	? "it is a directory"
						 : error == E2BIG	? "arguments and environment are too long"
											: "exec failed";
	info.message = cat("cannot run '", program, "' in '", request.name, "': ", reason);
	throw SysError(std::move(info));
}

/** As execvp(3), with the command's own PATH: EACCES somewhere on the way counts more than ENOENT at its end. */
int exec_by_path(std::vector<std::string> &argv, std::vector<std::string> &env) {
	auto words = pointers(argv);
	auto variables = pointers(env);
	const auto program = argv[0];
	auto try_exec = [&](const std::string &path) {
		::execve(path.c_str(), words.data(), variables.data());
		if (errno == ENOEXEC) {
			// A script without #!, as shells and execvp run it.
			std::string shell = "/bin/sh";
			std::string script = path;
			std::vector<char *> with_shell = {shell.data(), script.data()};
			with_shell.insert(with_shell.end(), words.begin() + 1, words.end());
			::execve(shell.c_str(), with_shell.data(), variables.data());
		}
		return errno;
	};
	if (program.empty()) {
		return ENOENT;
	}
	if (program.find('/') != program.npos) {
		return try_exec(program);
	}
	int error = ENOENT;
	auto path = std::ranges::find_if(env, [](const std::string &entry) { return entry.starts_with("PATH="); });
	for (const auto &dir : split(path == env.end() ? "/usr/local/bin:/usr/bin:/bin" : std::string_view(*path).substr(5), ':')) {
		int one = try_exec(cat(dir.empty() ? "." : dir, "/", program));
		if (one == EACCES || (one != ENOENT && one != ENOTDIR && error == ENOENT)) {
			error = one;
		}
	}
	return error;
}

[[noreturn]] void exec_shell(const AttachRequest &request, User user, std::vector<std::string> env) {
	if (!user.entry) {
		auto variables = pointers(env);
		user.entry = ask_getent(user.uid, variables.data());
		if (user.entry) {
			set_variable(env, request.kept_env, "HOME", user.entry->home);
			set_variable(env, request.kept_env, "USER", user.entry->name);
			set_variable(env, request.kept_env, "LOGNAME", user.entry->name);
		}
	}
	for (const auto &shell : {user.entry ? user.entry->shell : std::string(), std::string("/bin/sh")}) {
		if (!shell.empty()) {
			set_variable(env, request.kept_env, "SHELL", shell);
			std::vector<std::string> argv = {shell};
			exec_by_path(argv, env);
		}
	}
	throw_exec(request, "/bin/sh", errno);
}

[[noreturn]] void run_command(const AttachChild &child) {
	const auto &request = child.request;
	if ((request.namespaces & CLONE_NEWNS) == 0 && request.remount) {
		remount_kernel_filesystems(); // /proc shows the pid namespace of who mounts it
	}
	take_terminal(child);
	if (auto personality = request.personality ? request.personality : request.spec.init.personality) {
		set_personality(*personality);
	}
	auto user = find_user(request);
	restrict(request, user);
	auto env = request.env;
	if (user.entry) {
		set_variable(env, request.kept_env, "HOME", user.entry->home);
		set_variable(env, request.kept_env, "USER", user.entry->name);
		set_variable(env, request.kept_env, "LOGNAME", user.entry->name);
		set_variable(env, request.kept_env, "SHELL", user.entry->shell);
	}
	::sigprocmask(SIG_SETMASK, &child.signals, nullptr);
	if (request.argv.empty()) {
		exec_shell(request, std::move(user), std::move(env));
	}
	auto argv = request.argv;
	throw_exec(request, argv[0], exec_by_path(argv, env));
}

void enter(const AttachChild &child, int namespaces) {
	const auto &request = child.request;
	enter_v1(child.cgroups);
	set_rlimits(0, request.spec.rlimits);
	give_pipes(request);
	close_all_but(child.init, child.socket); // nothing of the host's is open inside, but what is still needed
	join_namespaces(request, child.init, namespaces);
	::close(child.init);
	if (::chdir(child.cwd.c_str()) != 0 && ::chdir("/") != 0) {
		throw_errno("attach", "cannot change to / in the container");
	}
}

/** Runs a step that must not return; what it throws is shown, and ends the process. */
template <typename F> [[noreturn]] void end_with(const AttachChild &child, F step) {
	int code = 1;
	try {
		code = step();
	} catch (const SysError &error) {
		code = child.request.report(error.info());
	} catch (const std::exception &error) {
		ErrorInfo info;
		info.code = "internal";
		info.message = cat("cannot attach to '", child.request.name, "': ", error.what());
		code = child.request.report(info);
	}
	::_exit(code);
}

void command_entry(void *argument) {
	const auto &child = *static_cast<const AttachChild *>(argument);
	end_with(child, [&]() -> int { run_command(child); });
}

int make_command(const AttachChild &child) {
	clone_args arguments{};
	arguments.flags = CLONE_PARENT; // its exit signal is the envoy's own
	*child.pid = sys::clone_vm(&arguments, command_entry, const_cast<AttachChild *>(&child));
	if (*child.pid < 0) {
		// No process can be made in a pid namespace without init: ENOMEM. pid_namespaces(7)
		if (errno == ENOMEM) {
			throw_error("not-running", cat("cannot attach to '", child.request.name, "': it is not running"));
		}
		throw_errno("attach", cat("cannot make a process in '", child.request.name, "'"));
	}
	return 0;
}

} // namespace

void run_attach_command(const AttachChild &child) {
	end_with(child, [&]() -> int {
		enter(child, child.request.namespaces & ~CLONE_NEWPID);
		run_command(child);
	});
}

void run_attach_envoy(const AttachChild &child) {
	end_with(child, [&] {
		enter(child, child.request.namespaces);
		return make_command(child);
	});
}

} // namespace tslxc
