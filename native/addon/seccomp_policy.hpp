// LXC's seccomp policy text (versions 1 and 2), parsed. lxc.container.conf(5)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tslxc {

struct SeccompArgument {
	unsigned index = 0; // of the system call's arguments, 0–5
	std::uint64_t value = 0;
	int op = 0; // scmp_compare
	std::uint64_t mask = 0;
};

struct SeccompRule {
	unsigned line = 0;
	std::string arch; // of the section, lower case; "all"
	std::string name; // a name, or a number in version 1
	std::uint32_t action = 0;
	std::vector<SeccompArgument> arguments;
};

struct SeccompPolicy {
	std::uint32_t default_action = 0;
	std::vector<SeccompRule> rules;
};

/** Throws SysError "config": `FILE:LINE: reason`. */
SeccompPolicy parse_seccomp_policy(const std::string &text, const std::string &file);
/** A ready array of struct sock_filter for this machine and the architectures it also runs. */
std::string compile_seccomp_policy(const SeccompPolicy &policy, const std::string &file);

} // namespace tslxc
