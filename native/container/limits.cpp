#include "limits.hpp"

#include <grp.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "../kernel/caps.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

namespace {

struct RlimitName {
	const char *name;
	int number;
};
constexpr std::array rlimit_names{
	RlimitName{"as", RLIMIT_AS},		   RlimitName{"core", RLIMIT_CORE},			RlimitName{"cpu", RLIMIT_CPU},
	RlimitName{"data", RLIMIT_DATA},	   RlimitName{"fsize", RLIMIT_FSIZE},		RlimitName{"locks", RLIMIT_LOCKS},
	RlimitName{"memlock", RLIMIT_MEMLOCK}, RlimitName{"msgqueue", RLIMIT_MSGQUEUE}, RlimitName{"nice", RLIMIT_NICE},
	RlimitName{"nofile", RLIMIT_NOFILE},   RlimitName{"nproc", RLIMIT_NPROC},		RlimitName{"rss", RLIMIT_RSS},
	RlimitName{"rtprio", RLIMIT_RTPRIO},   RlimitName{"rttime", RLIMIT_RTTIME},		RlimitName{"sigpending", RLIMIT_SIGPENDING},
	RlimitName{"stack", RLIMIT_STACK}};

int rlimit_number(const std::string &name) {
	for (const RlimitName &entry : rlimit_names) {
		if (name == entry.name) {
			return entry.number;
		}
	}
	throw_error("config", cat("cannot set the limit '", name, "': it is unknown"));
}

} // namespace

void set_rlimits(pid_t pid, const std::vector<Rlimit> &limits) {
	for (const Rlimit &limit : limits) {
		struct rlimit value {};
		value.rlim_cur = limit.soft ? *limit.soft : RLIM_INFINITY;
		value.rlim_max = limit.hard ? *limit.hard : RLIM_INFINITY;
		if (::prlimit(pid, static_cast<__rlimit_resource>(rlimit_number(limit.name)), &value, nullptr) < 0) {
			throw_errno("limits", cat("cannot set prlimit.", limit.name), errno,
						errno == EPERM ? "without root a limit can only be lowered: see ulimit -H -a" : "");
		}
	}
}

void set_personality(unsigned long value) {
	if (::personality(value) < 0) {
		throw_errno("personality", cat("cannot set the personality ", value));
	}
}

void join_new_session_keyring() {
	// EDQUOT and ENOSYS: a container without keyring is better than none, as in LXC.
	if (sys::keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0) < 0 && errno != EDQUOT && errno != ENOSYS) {
		throw_errno("keyring", "cannot make a session keyring");
	}
}

void become_namespace_root() {
	if (::setgroups(0, nullptr) < 0 || ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0) {
		throw_errno("user-namespace", "cannot become root of the container", errno, "the idmap must map user 0 and group 0");
	}
}

void change_ids(uid_t uid, gid_t gid, const std::vector<gid_t> &groups) {
	::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (::setgroups(groups.size(), groups.data()) < 0 || ::setresgid(gid, gid, gid) < 0 || ::setresuid(uid, uid, uid) < 0) {
		throw_errno("ids", cat("cannot become uid ", uid, " gid ", gid, " in the container"), errno,
					"check init.uid, init.gid and init.groups");
	}
	// Leaving uid 0 clears the effective set, permitted or not: capabilities(7). Steps after this one need it.
	set_capabilities(~std::uint64_t{0});
}

void set_no_new_privileges() {
	if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		throw_errno("no-new-privileges", "cannot forbid new privileges");
	}
}

void load_seccomp_filter(std::string_view filter) {
	if (filter.empty()) {
		return;
	}
	struct sock_fprog program {};
	program.len = static_cast<unsigned short>(filter.size() / sizeof(struct sock_filter));
	program.filter = reinterpret_cast<struct sock_filter *>(const_cast<char *>(filter.data()));
	if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
		throw_errno("seccomp", "cannot load the seccomp filter");
	}
}

void die_with_parent() {
	if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
		throw_errno("monitor", "cannot bind init's life to the monitor's");
	}
}

} // namespace tslxc
