#include "device_filter.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

unsigned access_bits(const std::string &access) {
	unsigned bits = 0;
	for (char letter : access) {
		bits |= letter == 'm' ? BPF_DEVCG_ACC_MKNOD : letter == 'r' ? BPF_DEVCG_ACC_READ : letter == 'w' ? BPF_DEVCG_ACC_WRITE : 0;
	}
	return bits;
}

std::string access_text(unsigned bits) {
	std::string out;
	for (auto [bit, letter] : {std::pair{BPF_DEVCG_ACC_READ, 'r'}, {BPF_DEVCG_ACC_WRITE, 'w'}, {BPF_DEVCG_ACC_MKNOD, 'm'}}) {
		if ((bits & bit) != 0) {
			out.push_back(letter);
		}
	}
	return out;
}

constexpr unsigned all_access = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

long bpf(int command, bpf_attr &attributes) {
	return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

bpf_insn instruction(int code, int dst, int src, int offset, int immediate) {
	bpf_insn out{};
	out.code = static_cast<__u8>(code);
	out.dst_reg = static_cast<__u8>(dst) & 0xf;
	out.src_reg = static_cast<__u8>(src) & 0xf;
	out.off = static_cast<__s16>(offset);
	out.imm = immediate;
	return out;
}

bpf_insn load_word(int dst, int offset) {
	return instruction(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, offset, 0);
}
bpf_insn set(int dst, int value) {
	return instruction(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}
bpf_insn skip_unless_equal(int dst, int value) {
	return instruction(BPF_JMP | BPF_JNE | BPF_K, dst, 0, 0, value);
}

// Registers of the program: 2 type, 3 access asked for, 4 major, 5 minor.
void add_exception(std::vector<bpf_insn> &program, const DeviceRule &rule, bool default_allow) {
	std::vector<bpf_insn> block;
	block.push_back(skip_unless_equal(BPF_REG_2, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
	auto bits = access_bits(rule.access);
	if (bits != all_access) {
		block.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_3, 0, 0));
		block.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_6, 0, 0, static_cast<int>(bits)));
		// Allowed only when the rule covers all that is asked; denied as soon as they overlap.
		block.push_back(default_allow ? instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_6, 0, 0, 0)
									  : instruction(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_6, BPF_REG_3, 0, 0));
	}
	if (rule.major) {
		block.push_back(skip_unless_equal(BPF_REG_4, static_cast<int>(*rule.major)));
	}
	if (rule.minor) {
		block.push_back(skip_unless_equal(BPF_REG_5, static_cast<int>(*rule.minor)));
	}
	block.push_back(set(BPF_REG_0, default_allow ? 0 : 1));
	block.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
	for (std::size_t i = 0; i < block.size(); i++) {
		if (BPF_CLASS(block[i].code) == BPF_JMP && BPF_OP(block[i].code) != BPF_EXIT) {
			block[i].off = static_cast<__s16>(block.size() - i - 1);
		}
	}
	program.insert(program.end(), block.begin(), block.end());
}

Fd load_program(const std::vector<bpf_insn> &program) {
	bpf_attr load{};
	static constexpr char license[] = "GPL";
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insns = reinterpret_cast<__u64>(program.data());
	load.insn_cnt = static_cast<__u32>(program.size());
	load.license = reinterpret_cast<__u64>(license);
	std::memcpy(load.prog_name, "tslxc_devices", 14);
	Fd fd(static_cast<int>(bpf(BPF_PROG_LOAD, load)));
	if (!fd) {
		throw_errno("devices", "cannot load the device filter");
	}
	return fd;
}

std::vector<__u32> attached_programs(int cgroup_fd) {
	std::array<__u32, 64> ids{};
	bpf_attr query{};
	query.query.target_fd = static_cast<__u32>(cgroup_fd);
	query.query.attach_type = BPF_CGROUP_DEVICE;
	query.query.prog_ids = reinterpret_cast<__u64>(ids.data());
	query.query.prog_cnt = ids.size();
	if (bpf(BPF_PROG_QUERY, query) < 0) {
		return {};
	}
	return {ids.begin(), ids.begin() + std::min<std::size_t>(query.query.prog_cnt, ids.size())};
}

void detach(int cgroup_fd, __u32 id) {
	bpf_attr get{};
	get.prog_id = id;
	Fd old(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, get)));
	bpf_attr attributes{};
	attributes.target_fd = static_cast<__u32>(cgroup_fd);
	attributes.attach_bpf_fd = static_cast<__u32>(old.get());
	attributes.attach_type = BPF_CGROUP_DEVICE;
	if (!old || bpf(BPF_PROG_DETACH, attributes) < 0) {
		throw_errno("devices", "cannot detach the earlier device filter");
	}
}

} // namespace

std::string device_rule_text(const DeviceRule &rule) {
	if (rule.type == 'a') {
		return "a";
	}
	auto number = [](const std::optional<unsigned> &value) { return value ? std::to_string(*value) : std::string("*"); };
	return cat(rule.type, " ", number(rule.major), ":", number(rule.minor), " ", rule.access);
}

DevicePolicy device_policy(const std::vector<DeviceRule> &rules) {
	DevicePolicy policy;
	for (const auto &rule : rules) {
		if (rule.type == 'a') {
			policy = {rule.allow, {}};
			continue;
		}
		auto same = std::ranges::find_if(policy.exceptions, [&](const DeviceRule &other) {
			return other.type == rule.type && other.major == rule.major && other.minor == rule.minor;
		});
		bool known = same != policy.exceptions.end();
		if (rule.allow != policy.default_allow) {
			if (known) {
				same->access = access_text(access_bits(same->access) | access_bits(rule.access));
			} else {
				policy.exceptions.push_back(rule);
			}
		} else if (known) {
			same->access = access_text(access_bits(same->access) & ~access_bits(rule.access));
			if (same->access.empty()) {
				policy.exceptions.erase(same);
			}
		}
	}
	return policy;
}

std::vector<bpf_insn> device_filter_program(const std::vector<DeviceRule> &rules) {
	auto policy = device_policy(rules);
	std::vector<bpf_insn> program;
	// struct bpf_cgroup_dev_ctx {u32 access_type (access << 16 | type), major, minor}
	program.push_back(load_word(BPF_REG_2, 0));
	program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0));
	program.push_back(instruction(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16));
	program.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff));
	program.push_back(load_word(BPF_REG_4, 4));
	program.push_back(load_word(BPF_REG_5, 8));
	for (const auto &rule : policy.exceptions) {
		add_exception(program, rule, policy.default_allow);
	}
	program.push_back(set(BPF_REG_0, policy.default_allow ? 1 : 0));
	program.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
	return program;
}

void attach_device_filter(int cgroup_fd, const std::vector<bpf_insn> &program) {
	Fd loaded = load_program(program);
	auto before = attached_programs(cgroup_fd);
	bpf_attr attach{};
	attach.target_fd = static_cast<__u32>(cgroup_fd);
	attach.attach_bpf_fd = static_cast<__u32>(loaded.get());
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	if (bpf(BPF_PROG_ATTACH, attach) < 0) {
		throw_errno("devices", "cannot attach the device filter");
	}
	// Several programs are ANDed, so a widened list works only when the earlier one goes.
	for (auto id : before) {
		detach(cgroup_fd, id);
	}
}

} // namespace tslxc
