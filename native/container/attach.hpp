// Runs a command inside a running container. No lock, no monitor.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <termios.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../kernel/cgroup.hpp"
#include "../spec/spec.hpp"
#include "../spec/state.hpp"

namespace tslxc {

struct AttachRequest {
	AttachRequest(std::string container, const Spec &in_force, const State &observed)
		: name(std::move(container)), spec(in_force), state(observed) {}
	std::string name;
	const Spec &spec;													   // in force
	const State &state;													   // as observed; init is alive
	std::string filter;													   // content of the seccomp filter in force
	int namespaces = 0;													   // CLONE_NEW* to enter
	bool keep_capabilities = false, keep_cgroup = false, keep_lsm = false; // elevated
	bool remount = false;												   // /proc and /sys afresh, without the container's mount namespace
	std::optional<uid_t> uid;
	std::optional<gid_t> gid;
	std::optional<unsigned long> personality;
	std::vector<std::string> env;	   // complete
	std::vector<std::string> kept_env; // names that HOME, USER, LOGNAME and SHELL of the guest's passwd do not replace
	std::vector<std::string> argv;	   // empty: the user's shell
	Fd pty_log;
	/** Shows an error in the child; its result is the child's exit code. */
	std::function<int(const ErrorInfo &)> report;
};

/** All namespaces that the container has of its own, as CLONE_NEW* flags. */
int container_namespaces(const Spec &spec);
/** Waits for the command's end. Its exit code, 128 + signal when it was killed; 126 and 127 when it could not be run. Throws SysError. */
int attach(const AttachRequest &request);

// Inside, attach.cpp → attach_child.cpp:

/** Which of the standard streams are terminals, and how the caller's terminal is set. */
struct AttachTerminal {
	bool stream[3] = {false, false, false};
	termios modes{};
	winsize size{};
	bool any() const { return stream[0] || stream[1] || stream[2]; }
};
/** The child may share the parent's memory: it changes nothing of this, and closes descriptors by number. */
struct AttachChild {
	const AttachRequest &request;
	const AttachTerminal &terminal;
	const CgroupEntries &cgroups;
	int init;				 // pidfd
	int socket;				 // takes the pty's master; −1 without a terminal
	const sigset_t &signals; // the caller's mask
	const std::string &cwd;
};
/** Already in the pid namespace and the v2 cgroup. */
[[noreturn]] void run_attach_child(const AttachChild &child);

} // namespace tslxc
