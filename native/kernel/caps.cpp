#include "caps.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

// In the order of their numbers. linux/capability.h
constexpr std::array names{"chown",
						   "dac_override",
						   "dac_read_search",
						   "fowner",
						   "fsetid",
						   "kill",
						   "setgid",
						   "setuid",
						   "setpcap",
						   "linux_immutable",
						   "net_bind_service",
						   "net_broadcast",
						   "net_admin",
						   "net_raw",
						   "ipc_lock",
						   "ipc_owner",
						   "sys_module",
						   "sys_rawio",
						   "sys_chroot",
						   "sys_ptrace",
						   "sys_pacct",
						   "sys_admin",
						   "sys_boot",
						   "sys_nice",
						   "sys_resource",
						   "sys_time",
						   "sys_tty_config",
						   "mknod",
						   "lease",
						   "audit_write",
						   "audit_control",
						   "setfcap",
						   "mac_override",
						   "mac_admin",
						   "syslog",
						   "wake_alarm",
						   "block_suspend",
						   "audit_read",
						   "perfmon",
						   "bpf",
						   "checkpoint_restore"};

int last_capability() {
	int last = static_cast<int>(names.size()) - 1; // a guess that is right on today's kernels
	while (last > 0 && ::prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0) {
		--last;
	}
	while (last < 63 && ::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) {
		++last;
	}
	return last;
}

} // namespace

int capability_number(const std::string &name) {
	const std::string bare = name.starts_with("cap_") || name.starts_with("CAP_") ? name.substr(4) : name;
	if (const auto number = to_int(bare)) {
		return *number >= 0 && *number < 64 ? static_cast<int>(*number) : -1;
	}
	std::string lower = bare;
	for (char &c : lower) {
		c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
	}
	for (std::size_t i = 0; i < names.size(); ++i) {
		if (lower == names[i]) {
			return static_cast<int>(i);
		}
	}
	return -1;
}

std::uint64_t kept_capabilities(const SecurityPlan &plan) {
	const int last = last_capability();
	const std::uint64_t all = last >= 63 ? ~std::uint64_t{0} : (std::uint64_t{1} << (last + 1)) - 1;
	std::uint64_t named = 0;
	for (const std::string &name : plan.capability_names) {
		if (plan.keep_mode && name == "none") {
			continue;
		}
		const int number = capability_number(name);
		if (number < 0) {
			throw_error("config", cat("cannot limit the capabilities: '", name, "' is unknown"));
		}
		named |= std::uint64_t{1} << number;
	}
	return plan.keep_mode ? named & all : all & ~named;
}

void limit_bounding_set(std::uint64_t kept) {
	const int last = last_capability();
	for (int number = 0; number <= last; ++number) {
		if ((kept >> number & 1) == 0 && ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) {
			throw_errno("capabilities",
						cat("cannot drop the capability '", number < static_cast<int>(names.size()) ? names[number] : "?", "'"));
		}
	}
}

void set_capabilities(std::uint64_t kept) {
	__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
	std::array<__user_cap_data_struct, 2> data{};
	if (::syscall(SYS_capget, &header, data.data()) < 0) {
		throw_errno("capabilities", "cannot read the capabilities");
	}
	const std::array<std::uint32_t, 2> half{static_cast<std::uint32_t>(kept), static_cast<std::uint32_t>(kept >> 32)};
	for (std::size_t i = 0; i < 2; ++i) {
		data[i].permitted &= half[i];
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0; // an inheritable set hands rights to files marked with them. CVE-2022-24769
	}
	::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (::syscall(SYS_capset, &header, data.data()) < 0) {
		throw_errno("capabilities", "cannot set the capabilities");
	}
}

} // namespace tslxc
