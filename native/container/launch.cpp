#include "launch.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <tuple>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "../base/text.hpp"
#include "../kernel/idmap.hpp"
#include "../kernel/syscalls.hpp"
#include "hooks.hpp"
#include "init.hpp"
#include "limits.hpp"
#include "locked_mounts.hpp"
#include "mounts.hpp"
#include "network.hpp"
#include "sync.hpp"

namespace tslxc {

namespace {

struct Namespace {
	const char *name, *file;
	int flag;
};
constexpr Namespace namespaces[] = {{"mount", "mnt", CLONE_NEWNS},		  {"net", "net", CLONE_NEWNET}, {"ipc", "ipc", CLONE_NEWIPC},
									{"uts", "uts", CLONE_NEWUTS},		  {"pid", "pid", CLONE_NEWPID}, {"user", "user", CLONE_NEWUSER},
									{"cgroup", "cgroup", CLONE_NEWCGROUP}};

std::uint64_t clone_flags(const Spec &spec) {
	std::uint64_t flags = CLONE_PIDFD;
	for (const Namespace &ns : namespaces) {
		// cgroup: init unshares it when it is in its cgroups; user: follows from the idmap.
		if (ns.flag != CLONE_NEWCGROUP && ns.flag != CLONE_NEWUSER && spec.creates(ns.name) && !spec.join_namespaces.contains(ns.name)) {
			flags |= static_cast<std::uint64_t>(ns.flag);
		}
	}
	return spec.unprivileged() ? flags | CLONE_NEWUSER : flags;
}

/** A pid, the name of a running container, or the path of an nsfs file. */
std::string namespace_path(const Paths &paths, const Namespace &ns, const std::string &where) {
	if (where.starts_with('/')) {
		return where;
	}
	auto pid = to_int(where);
	if (!pid) {
		const Observation other = observe(paths.run_dir(where));
		if (!other.init_alive) {
			throw_error("not-running", cat("cannot share the ", ns.name, " namespace of '", where, "': it is not running"),
						cat("run 'tslxc start ", where, "' first"));
		}
		pid = other.state.init_pid;
	}
	return cat("/proc/", *pid, "/ns/", ns.file);
}

/** Takes the caller into the namespaces that the container shares, and back again: a child in a user namespace of its own may not enter
 *  them any more. For pid only later children are concerned. */
class JoinedNamespaces {
public:
	JoinedNamespaces(const Spec &spec, const Paths &paths) {
		for (const Namespace &ns : namespaces) {
			const auto wanted = spec.join_namespaces.find(ns.name);
			if (wanted == spec.join_namespaces.end()) {
				continue;
			}
			if (ns.flag == CLONE_NEWUSER || ns.flag == CLONE_NEWNS) {
				throw_error("config", cat("cannot share the ", ns.name, " namespace: it is not supported"));
			}
			own_.emplace_back(ns.flag, open_or_throw(cat("/proc/self/ns/", ns.file), O_RDONLY));
			const std::string path = namespace_path(paths, ns, wanted->second);
			const Fd target = open_or_throw(path, O_RDONLY);
			if (::setns(target.get(), ns.flag) < 0) {
				throw_errno("namespaces", cat("cannot share the ", ns.name, " namespace ", path));
			}
		}
	}
	~JoinedNamespaces() {
		for (const auto &[flag, fd] : own_) {
			::setns(fd.get(), flag);
		}
	}
	JoinedNamespaces(const JoinedNamespaces &) = delete;
	JoinedNamespaces &operator=(const JoinedNamespaces &) = delete;

private:
	std::vector<std::pair<int, Fd>> own_;
};

/** Kills and reaps init unless the launch succeeded. */
class Child {
public:
	Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
	~Child() {
		if (pidfd_) {
			sys::pidfd_send_signal(pidfd_.get(), SIGKILL);
			::waitpid(pid_, nullptr, 0);
		}
	}
	Child(const Child &) = delete;
	Child &operator=(const Child &) = delete;
	pid_t pid() const { return pid_; }
	Fd keep() { return std::move(pidfd_); }

private:
	pid_t pid_;
	Fd pidfd_;
};

[[noreturn]] void throw_clone(const Spec &spec, int error_number) {
	const std::string limit = read_file_if_present("/proc/sys/user/max_user_namespaces").value_or("");
	const bool off = limit.empty() || trim(limit) == "0"; // no such file: a kernel without them. namespaces(7)
	if (spec.unprivileged() && off && (error_number == ENOSPC || error_number == EINVAL)) {
		throw_error("kernel", "this host has user namespaces turned off",
					"run 'sysctl -w user.max_user_namespaces=15000', or create the container with --privileged");
	}
	throw_errno("clone", "cannot make the container's namespaces", error_number,
				error_number == ENOSPC	? "too many namespaces: raise /proc/sys/user/max_*_namespaces"
				: error_number == EPERM ? "run as root, or see 'tslxc doctor'"
										: "");
}

pid_t clone_init(const LaunchRequest &request, InitArguments &arguments, Fd &pidfd) {
	const Spec &spec = request.spec;
	const JoinedNamespaces joined(spec, request.paths);
	const Fd v2 = open_v2_cgroup(request.cgroups.inner);
	int raw_pidfd = -1;
	struct clone_args clone {};
	clone.flags = clone_flags(spec) | (v2 ? CLONE_INTO_CGROUP : 0);
	clone.pidfd = reinterpret_cast<std::uint64_t>(&raw_pidfd);
	clone.exit_signal = SIGCHLD;
	clone.cgroup = v2 ? static_cast<std::uint64_t>(v2.get()) : 0;
	const pid_t pid = sys::clone3(&clone);
	if (pid < 0) {
		throw_clone(spec, errno);
	}
	if (pid == 0) {
		run_init(std::move(arguments));
	}
	pidfd.reset(raw_pidfd);
	return pid;
}

std::string read_filter(const LaunchRequest &request) {
	const std::string &name = request.spec.security.seccomp_filter;
	return name.empty() ? std::string() : read_file(cat(request.paths.run_dir(request.spec.name), '/', name), 1u << 20);
}

void hand_over_mounts(const LaunchRequest &request, InitPeer &init, int userns_fd) {
	MountOwner owner;
	owner.userns_fd = userns_fd;
	std::tie(owner.root_uid, owner.root_gid) = guest_root(request.spec);
	const DetachedMounts mounts = build_monitor_mounts(request.spec, owner);
	if (std::ranges::none_of(mounts, [](const BuiltMount &mount) { return mount.locked && mount.fd; })) {
		init.send_mounts(mounts, -1);
		return;
	}
	const LockedMounts staging(request.paths.run_base, mounts);
	init.send_mounts(mounts, staging.clone_fd());
	init.receive_staged();
	staging.propagate(mounts);
	init.send_locked();
}

/** Where init has failed already, its own words are the reason. */
Fd open_network_namespace(InitPeer &init, pid_t pid) {
	try {
		return open_or_throw(cat("/proc/", pid, "/ns/net"), O_RDONLY);
	} catch (const SysError &error) {
		// A process that has ended has no namespaces, reaped or not.
		if (error.info().error_number == ENOENT || error.info().error_number == ESRCH) {
			init.throw_last_words();
		}
		throw;
	}
}

Links make_container_links(const Spec &spec, InitPeer &init, pid_t pid) {
	Links links;
	if (!spec.creates("net") || spec.join_namespaces.contains("net")) {
		return links;
	}
	const Fd netns = open_network_namespace(init, pid);
	links.made = make_links(spec, netns.get());
	for (const InterfacePlan &plan : spec.network) {
		links.gateways.push_back(resolve_gateways(plan));
	}
	return links;
}

void keep_namespaces(const Spec &spec, Launched &launched) {
	if (!has_hooks(spec, "stop")) {
		return;
	}
	for (const Namespace &ns : namespaces) {
		Fd fd(::open(cat("/proc/", launched.pid, "/ns/", ns.file).c_str(), O_RDONLY | O_CLOEXEC));
		if (fd) {
			launched.namespaces.emplace_back(ns.file, std::move(fd));
		}
	}
}

void run_start_host_hooks(const LaunchRequest &request, pid_t pid) {
	HookContext hooks;
	hooks.rootfs_mount = rootfs_mount_point(request.spec, request.paths.run_base);
	hooks.console = request.spec.console.path;
	hooks.init_pid = pid;
	run_hooks(request.spec, "start-host", hooks);
}

} // namespace

std::pair<uid_t, gid_t> guest_root(const Spec &spec) {
	if (!spec.unprivileged()) {
		return {0, 0};
	}
	return {map_id(spec.idmap, 'u', 0).value_or(0), map_id(spec.idmap, 'g', 0).value_or(0)};
}

Launched launch(const LaunchRequest &request) {
	const Spec &spec = request.spec;
	auto [our_end, init_end] = packet_pair();
	InitArguments arguments{spec,
							std::move(init_end),
							open_v1_entries(request.cgroups.inner),
							rootfs_mount_point(spec, request.paths.run_base),
							read_filter(request),
							request.oom_score};
	Launched launched;
	Fd pidfd;
	launched.pid = clone_init(request, arguments, pidfd);
	Child child(launched.pid, std::move(pidfd));
	arguments.sync.reset();
	InitPeer init(std::move(our_end));

	Fd userns;
	if (spec.unprivileged()) {
		write_id_maps(child.pid(), spec.idmap);
		userns = open_or_throw(cat("/proc/", child.pid(), "/ns/user"), O_RDONLY);
	}
	hand_over_mounts(request, init, userns.get());
	// From here on init works on its mounts while we make the links.
	Links links = make_container_links(spec, init, child.pid());
	init.send_links(links);
	launched.interfaces = std::move(links.made);

	const bool work_before_exec = has_hooks(spec, "start-host") || has_hooks(spec, "stop") || !spec.rlimits.empty();
	if (!work_before_exec) {
		init.send_exec(); // early: init then finds it without waiting for us to wake up
	}
	launched.start_time = process_start_time(child.pid()).value_or(0);
	std::vector<Fd> terminals = init.receive_terminals();
	init.receive_ready();
	if (work_before_exec) {
		keep_namespaces(spec, launched);
		run_start_host_hooks(request, child.pid());
		set_rlimits(child.pid(), spec.rlimits);
		init.send_exec();
	}
	init.wait_for_exec();

	if (spec.console.path != "none" && !terminals.empty()) {
		launched.console = std::move(terminals.front());
		terminals.erase(terminals.begin());
	}
	launched.ttys = std::move(terminals);
	launched.pidfd = child.keep();
	return launched;
}

} // namespace tslxc
