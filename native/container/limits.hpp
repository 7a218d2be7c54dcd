// What init takes on just before exec: resource limits, personality, keyring, ids, the seccomp filter.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../spec/spec.hpp"

namespace tslxc {

/** Of another process, by the monitor: raising a hard limit takes CAP_SYS_RESOURCE in the first user namespace. */
void set_rlimits(pid_t pid, const std::vector<Rlimit> &limits);
void set_personality(unsigned long personality);
/** A session keyring of its own, so that the starting user's keys stay outside. keyrings(7) */
void join_new_session_keyring();
/** Root of a fresh user namespace: no supplementary groups, uid and gid 0 inside. */
void become_namespace_root();
/** Keeps the permitted capabilities over the change; set_capabilities follows. */
void change_ids(uid_t uid, gid_t gid, const std::vector<gid_t> &groups);
void set_no_new_privileges();
/** `filter` is an array of struct sock_filter. Needs CAP_SYS_ADMIN or no_new_privs. seccomp(2) */
void load_seccomp_filter(std::string_view filter);
/** SIGKILL when the monitor ends. Any later change of ids clears it. PR_SET_PDEATHSIG(2const) */
void die_with_parent();

} // namespace tslxc
