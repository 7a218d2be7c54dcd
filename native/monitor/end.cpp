// The end of an init: its hooks, what is taken down, and whether it starts again.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <memory>

#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../container/hooks.hpp"
#include "../container/mounts.hpp"
#include "../container/network.hpp"
#include "../kernel/syscalls.hpp"
#include "life.hpp"

namespace tslxc {

namespace {

/** The guest's own cgroups go. On v1 the delegated directory stays, with the devices' rules. On v2 it is made anew: after a write to
 *  cgroup.kill Linux 6.12 and later kill what is cloned into it (they compare the count of kills with that of the parent's cgroup). */
void renew(ContainerCgroups &cgroups, const Spec &spec) {
	for (const auto &[key, path] : cgroups.payload) {
		cgroups.inner[key] = cat(path, '/', spec.cgroup.inner_path.empty() ? "guest" : spec.cgroup.inner_path);
	}
	for (const auto &[key, path] : cgroups.inner) {
		if (key == "v2") {
			remove_cgroups({{key, path}});
			if (::mkdir(path.c_str(), 0755) < 0) {
				throw_errno("cgroup", cat("cannot make cgroup ", path));
			}
			continue;
		}
		const std::unique_ptr<DIR, int (*)(DIR *)> dir(::opendir(path.c_str()), ::closedir);
		while (const dirent *entry = dir ? ::readdir(dir.get()) : nullptr) {
			if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
				remove_cgroups({{key, cat(path, '/', entry->d_name)}});
			}
		}
	}
	const auto [uid, gid] = guest_root(spec);
	delegate_cgroups(cgroups, uid, gid);
}

} // namespace

Spec Life::spec_in_force() const {
	Spec spec = parse_spec(read_file(cat(paths_.run_dir(name_), "/spec.json")));
	if (!request_.console_path.empty()) {
		spec.console.path = request_.console_path;
	}
	if (!request_.console_log.empty()) {
		spec.console.log_file = request_.console_log;
	}
	return spec;
}

void Life::note_exit(int status) {
	state_.exit_status = status;
	// Halt and power-off in a pid namespace end its init by SIGINT: asked for, so no failure. reboot(2)
	const bool halted = WIFSIGNALED(status) && WTERMSIG(status) == SIGINT;
	exit_code_ = halted ? 0 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	console_.drain();
	if (!stop_wanted_ && (exit_code_ != 0 || Clock::now() - launched_at_ < std::chrono::seconds(1))) {
		state_.console_tail = console_.tail();
		const bool rebooted = WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP;
		state_.failed = !halted && !rebooted;
	}
}

void Life::init_ended() {
	int status = 0;
	if (::waitpid(launched_.pid, &status, WNOHANG) != launched_.pid) {
		return;
	}
	note_exit(status);
	rebooting_ = WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP && !stop_wanted_;
	kill_at_.reset();
	state_.init_pid = 0;
	state_.init_start_time = 0;
	publish(RunState::stopping);
	console_.detach();
	launched_.ttys.clear();
	phase_ = Phase::stop_hooks;
	run_end_hooks("stop", false);
}

/** In a process of its own: a hook may take its time, and the monitor keeps answering. With nothing to run the next step follows at once.
 */
void Life::run_end_hooks(const char *point, bool with_scripts) {
	hooks_pid_ = has_end_hooks_ ? ::fork() : -1;
	if (hooks_pid_ == 0) {
		end_hooks(point, with_scripts);
	}
	hooks_.reset(hooks_pid_ > 0 ? sys::pidfd_open(hooks_pid_, 0) : -1);
	if (!hooks_) {
		hooks_ended();
	}
}

void Life::end_hooks(const char *point, bool with_scripts) const {
	try {
		const Spec spec = spec_in_force();
		HookContext context;
		context.rootfs_mount = rootfs_mount_point(spec, paths_.run_base);
		context.console = spec.console.path;
		context.target = rebooting_ ? "reboot" : "stop";
		context.init_pid = launched_.pid;
		for (const auto &[name, fd] : launched_.namespaces) {
			context.namespaces.emplace_back(name, cat("/proc/", ::getppid(), "/fd/", fd.get()));
		}
		if (with_scripts) {
			run_down_scripts(spec, state_.interfaces);
		}
		run_hooks(spec, point, context);
	} catch (const std::exception &error) {
		log::warn("hooks", error.what());
	}
	::_exit(0);
}

void Life::hooks_ended() {
	if (hooks_) {
		::waitpid(hooks_pid_, nullptr, 0);
		hooks_.reset();
	}
	if (phase_ == Phase::stop_hooks) {
		launched_.namespaces.clear();
		if (has_processes(cgroups_.payload) && !kill_all(cgroups_.payload, 10'000)) {
			log::warn("stop", "some processes of the container can't be killed");
		}
		phase_ = Phase::post_stop_hooks;
		run_end_hooks("post-stop", true);
	} else if (phase_ == Phase::post_stop_hooks) {
		if (rebooting_ && !stop_wanted_) {
			launch_again();
		} else {
			finish_stop();
		}
	}
}

void Life::launch_again() {
	try {
		publish(RunState::starting);
		const Spec spec = spec_in_force();
		renew(cgroups_, spec);
		HookContext hooks;
		hooks.rootfs_mount = rootfs_mount_point(spec, paths_.run_base);
		hooks.console = spec.console.path;
		run_hooks(spec, "pre-start", hooks);
		launch_init(spec, hook_oom_score_);
		answer_waiting(Client::Wait::running, write_ok());
	} catch (const SysError &error) {
		log::write(log::Level::error, error.info().step, cat("cannot start '", name_, "' again: ", error.info().message));
		answer_waiting(Client::Wait::running, write_failure(error.info()));
		state_.console_tail = cat(console_.tail(), console_.tail().empty() ? "" : "\n", error.info().message);
		finish_stop();
	}
}

void Life::remove_own_cgroups() {
	leave_cgroups(cgroups_.monitor);
	remove_cgroups(cgroups_.monitor);
}

void Life::finish_stop() {
	phase_ = Phase::over;
	remove_cgroups(cgroups_.payload);
	remove_own_cgroups();
	::unlinkat(run_dir_.get(), "monitor.sock", 0);
	state_.cgroups.clear();
	state_.monitor_cgroups.clear();
	state_.interfaces.clear();
	state_.monitor_pid = 0;
	publish(RunState::stopped);
	// Closing any descriptor of the file gives the lock up: the next start need not wait for our exit. fcntl_locking(2)
	Fd(::openat(run_dir_.get(), "monitor.lock", O_RDONLY | O_CLOEXEC)).reset();
	if (!early_death_.empty()) {
		ErrorInfo error;
		error.message = early_death_;
		error.hint = cat("look at init.cmd in the configuration, or run it on your terminal: tslxc start -F ", name_);
		tell_failure(std::move(error));
	}
	answer_waiting(Client::Wait::stopped, write_ok());
	ErrorInfo gone;
	gone.code = "not-running";
	gone.message = cat("'", name_, "' stopped instead of starting again");
	answer_waiting(Client::Wait::running, write_failure(gone));
	if (ephemeral_) {
		// The program's own verb: it finds Node, takes the lock, and its errors are logged like a hook's.
		const RunResult result = run_program({cat(install_root(), "/dist/tslxc"), "destroy", "-P", paths_.lxcpath, name_}, {});
		if (result.exit_code != 0) {
			log::warn("ephemeral", cat("cannot destroy '", name_, "': ", trim(result.output)));
		}
	}
}

} // namespace tslxc
