#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/process.hpp"
#include "../kernel/cgroup_hierarchy.hpp"
#include "../kernel/device_filter.hpp"
#include "check.hpp"

using namespace tslxc;
using namespace tslxc::cgroup_detail;

TEST(cgroup_hierarchies_from_mountinfo) {
	auto found = parse_hierarchies("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
								   "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
								   "33 31 0:30 /docker/x /mnt/a\\040b rw - cgroup cgroup rw,xattr,memory\n"
								   "34 31 0:37 / /sys/fs/cgroup/systemd ro - cgroup cgroup rw,xattr,name=systemd\n"
								   "35 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
								   "36 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
	CHECK_EQUAL(found.size(), 4u);
	CHECK_EQUAL(found[0].key, "cpu,cpuacct");
	CHECK(found[0].has("cpuacct") && !found[0].has("memory"));
	CHECK_EQUAL(found[1].mount_point, "/sys/fs/cgroup/memory");
	CHECK_EQUAL(found[2].key, "name=systemd");
	CHECK(found[2].read_only);
	CHECK(found[3].v2 && found[3].key == "v2");
	CHECK_EQUAL(directory_of(found[3], "/a/b").value_or(""), "/sys/fs/cgroup/unified/a/b");
	CHECK_EQUAL(directory_of(found[3], "/").value_or(""), "/sys/fs/cgroup/unified");
	CHECK(!directory_of(found[3], "/../x"));
	auto part = parse_hierarchies("33 31 0:30 /docker/x /mnt rw - cgroup2 cgroup rw\n");
	CHECK_EQUAL(directory_of(part[0], "/docker/x/y").value_or(""), "/mnt/y");
	CHECK(!directory_of(part[0], "/docker/xy"));
}

namespace {

DeviceRule rule(bool allow, char type, std::optional<unsigned> major, std::optional<unsigned> minor, const char *access) {
	return {allow, type, major, minor, access};
}

/** Runs the few instructions the generator uses. */
bool allows(const std::vector<bpf_insn> &program, unsigned type, unsigned access, unsigned major, unsigned minor) {
	unsigned long long registers[11] = {};
	unsigned context[3] = {access << 16 | type, major, minor};
	for (std::size_t at = 0; at < program.size(); at++) {
		const auto &one = program[at];
		auto &dst = registers[one.dst_reg];
		auto operand =
			BPF_SRC(one.code) == BPF_X ? registers[one.src_reg] : static_cast<unsigned long long>(static_cast<long long>(one.imm));
		if (BPF_CLASS(one.code) == BPF_LDX) {
			dst = context[one.off / 4];
		} else if (BPF_CLASS(one.code) == BPF_ALU64) {
			dst = BPF_OP(one.code) == BPF_MOV ? operand : BPF_OP(one.code) == BPF_AND ? dst & operand : dst >> operand;
		} else if (BPF_OP(one.code) == BPF_EXIT) {
			return registers[0] != 0;
		} else if ((BPF_OP(one.code) == BPF_JNE) == (dst != operand)) {
			at += static_cast<std::size_t>(one.off);
		}
	}
	return false;
}

} // namespace

TEST(device_filter_denies_by_default) {
	auto program = device_filter_program({rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', {}, {}, "m"), rule(true, 'c', 1, 3, "r"),
										  rule(true, 'c', 1, 3, "w"), rule(true, 'c', 136, {}, "rwm"), rule(true, 'b', 7, 0, "rwm"),
										  rule(false, 'b', 7, 0, "w")});
	CHECK(allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 1, 3));
	CHECK(allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, 1, 3));
	CHECK(!allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 4));
	CHECK(!allows(program, BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 1, 3));
	CHECK(allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_WRITE, 136, 77));
	CHECK(allows(program, BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 7, 0));
	CHECK(!allows(program, BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 7, 0));
}

TEST(device_filter_allows_by_default) {
	auto program = device_filter_program({rule(true, 'a', {}, {}, "rwm"), rule(false, 'c', 10, 200, "w")});
	CHECK(allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 10, 200));
	CHECK(!allows(program, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 10, 200));
	CHECK(allows(program, BPF_DEVCG_DEV_BLOCK, 7, 8, 0));
	CHECK_EQUAL(device_rule_text(rule(true, 'c', {}, 3, "rm")), "c *:3 rm");
}

TEST(cgroup_life) {
	if (::geteuid() != 0) {
		return; // making cgroups needs root; the system tests cover it too
	}
	Spec spec;
	spec.name = cat("native-test-", ::getpid());
	spec.cgroup.limits = {{"pids.max", "50"}};
	spec.cgroup.legacy_limits = {{"pids.max", "50"}};
	spec.devices = {rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 1, 3, "rwm"), rule(true, 'c', 1, 5, "rwm")};
	auto cgroups = create_cgroups(spec);
	apply_limits(cgroups, spec);
	apply_devices(cgroups, spec.devices);
	delegate_cgroups(cgroups, 1000000, 1000000);
	auto entries = open_v1_entries(cgroups.inner);
	pid_t child = ::fork();
	if (child == 0) {
		try {
			enter_v1(entries);
		} catch (...) {
			::_exit(3);
		}
		for (;;) {
			if (::open("/dev/zero", O_RDONLY) < 0) {
				::_exit(4);
			}
			if (::open("/dev/full", O_RDONLY) >= 0) {
				::_exit(5);
			}
			::sleep(30);
		}
	}
	enter_cgroups(cgroups.inner, child);
	::usleep(20'000);
	CHECK(::waitpid(child, nullptr, WNOHANG) == 0);
	auto more = spec.devices;
	more.push_back(rule(true, 'c', 1, 9, "r"));
	apply_devices(cgroups, more); // also while it runs
	auto now = cgroups_of(child);
	for (const auto &[key, dir] : cgroups.inner) {
		CHECK_EQUAL(now[key], dir);
	}
	struct stat owner {};
	CHECK(::stat(cgroups.inner.begin()->second.c_str(), &owner) == 0 && owner.st_uid == 1000000);
	if (const auto *unified = v2_dir(cgroups.payload)) {
		v2_apply_devices(*unified, {rule(false, 'a', {}, {}, "rwm")});
		v2_apply_devices(*unified, spec.devices);
	}
	// The same name while processes live there: another directory.
	auto second = create_cgroups(spec);
	CHECK(second.payload.begin()->second.ends_with("-1"));
	remove_cgroups(second.payload);
	remove_cgroups(second.monitor);
	CHECK(has_processes(cgroups.payload));
	freeze(cgroups.payload, 2000);
	CHECK(is_frozen(cgroups.payload));
	thaw(cgroups.payload);
	CHECK(!is_frozen(cgroups.payload));
	freeze(cgroups.payload, 2000);
	auto usage = read_usage(cgroups.payload);
	CHECK(usage.cpu_ns.has_value());
	CHECK(kill_all(cgroups.payload, 2000));
	CHECK_EQUAL(wait_for(child), 128 + SIGKILL);
	CHECK(!has_processes(cgroups.payload));
	remove_cgroups(cgroups.payload);
	remove_cgroups(cgroups.monitor);
	CHECK(::access(cgroups.payload.begin()->second.c_str(), F_OK) != 0);
}
