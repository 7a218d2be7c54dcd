// Device rules as text for cgroup v1, and as a BPF_PROG_TYPE_CGROUP_DEVICE program for v2.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "../spec/spec.hpp"

namespace tslxc {

/** `c 1:3 rwm`, `b *:* m`, `a` as devices.allow and devices.deny take it. */
std::string device_rule_text(const DeviceRule &rule);

/** What a list of rules comes to, with cgroup v1's own meaning: `a` resets, a rule equal to the default takes exceptions away,
 *  rules of one device are merged. */
struct DevicePolicy {
	bool default_allow = true;
	std::vector<DeviceRule> exceptions; // all with allow = !default_allow
};
DevicePolicy device_policy(const std::vector<DeviceRule> &rules);

std::vector<bpf_insn> device_filter_program(const std::vector<DeviceRule> &rules);
/** Loads and attaches to the cgroup directory (BPF_F_ALLOW_MULTI), then detaches the program of an earlier call. */
void attach_device_filter(int cgroup_fd, const std::vector<bpf_insn> &program);

} // namespace tslxc
