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

// attach.cpp → attach_child.cpp:

/** Which of the standard streams are terminals, and how the caller's terminal is set. */
struct AttachTerminal {
	bool stream[3] = {false, false, false};
	termios modes{};
	winsize size{};
	bool any() const { return stream[0] || stream[1] || stream[2]; }
};
/** The children may share the parent's memory: they change nothing of this but `pid`, and close descriptors by number. */
struct AttachChild {
	const AttachRequest &request;
	const AttachTerminal &terminal;
	const CgroupEntries &cgroups;
	int init;				 // pidfd
	int socket;				 // takes the pty's master; −1 without a terminal
	const sigset_t &signals; // the caller's mask
	const std::string &cwd;
	pid_t *pid; // gets the command's from the envoy
};
/** What the clone of a command in a container with user namespace runs: already in the container's v2 cgroup and pid namespace. A guest has
 *  no rights over a process whose memory belongs to the first user namespace and is not dumpable: nothing of the host's shows. */
void run_attach_command(const AttachChild &child);
/** Without user namespace a guest may look into whatever it can see, by /proc/PID/fd and /proc/PID/root. So an envoy, in the container's v2
 *  cgroup but still in the host's pid namespace, enters everything, leaves all that is the host's behind, and only then makes the command's
 *  process, as the caller's child. It ends with 0, or with the code of what it reported. */
void run_attach_envoy(const AttachChild &child);

} // namespace tslxc
