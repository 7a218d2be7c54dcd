// cgroup v1, each controller a hierarchy of its own. Kernel documentation: admin-guide/cgroup-v1.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "cgroup_hierarchy.hpp"
#include "device_filter.hpp"

namespace tslxc::cgroup_detail {

namespace {

void copy_from_parent(const std::string &dir, const char *file) {
	auto own = try_read(dir, file);
	if (!own || !trim(*own).empty()) {
		return;
	}
	auto parent = try_read(dir.substr(0, dir.rfind('/')), file);
	int error = parent ? try_write(dir, file, trim(*parent)) : ENOENT;
	if (error != 0) {
		throw_errno("cgroup", cat("cannot fill ", dir, "/", file, " from its parent"), error);
	}
}

} // namespace

void v1_prepare(const std::string &dir, const Hierarchy &hierarchy) {
	if (hierarchy.has("cpuset")) {
		// A new cpuset has neither cpus nor mems, and refuses processes with ENOSPC until it has both. cpusets(7)
		copy_from_parent(dir, "cpuset.cpus");
		copy_from_parent(dir, "cpuset.mems");
		try_write(dir, "cgroup.clone_children", "1"); // what the guest makes below works at once
	}
	if (hierarchy.has("memory")) {
		try_write(dir, "memory.use_hierarchy", "1"); // the default since Linux 5.11; before, limits stopped at one level
	}
}

void v1_freeze(const std::string &freezer_dir, int timeout_ms) {
	auto deadline = monotonic_ms() + timeout_ms;
	int error = try_write(freezer_dir, "freezer.state", "FROZEN");
	if (error != 0) {
		throw_errno("freeze", cat("cannot freeze ", freezer_dir), error);
	}
	// The v1 freezer has no notification; reading the state is what advances it from FREEZING to FROZEN.
	for (unsigned round = 0;;) {
		auto state = try_read(freezer_dir, "freezer.state");
		if (state && trim(*state) == "FROZEN") {
			return;
		}
		if (!pause_until(deadline, round)) {
			try_write(freezer_dir, "freezer.state", "THAWED");
			throw_errno("freeze", cat("cannot freeze ", freezer_dir), ETIMEDOUT);
		}
	}
}

void v1_thaw(const std::string &freezer_dir) {
	int error = try_write(freezer_dir, "freezer.state", "THAWED");
	if (error != 0) {
		throw_errno("unfreeze", cat("cannot unfreeze ", freezer_dir), error);
	}
}

bool v1_kill(const std::string &dir, const std::string *freezer_dir, int timeout_ms) {
	auto deadline = monotonic_ms() + timeout_ms;
	for (unsigned round = 0;;) {
		bool any = false;
		walk(dir, false, [&](const std::string &one) {
			auto text = try_read(one, "cgroup.procs").value_or("");
			for (const auto &word : split(text, '\n')) {
				auto pid = to_int(word);
				if (pid && *pid > 1 && *pid != ::getpid()) {
					any = true;
					::kill(static_cast<pid_t>(*pid), SIGKILL);
				}
			}
		});
		if (!any) {
			return true;
		}
		// A process in the v1 freezer dies only after it was thawed.
		if (freezer_dir != nullptr && round == 0) {
			walk(*freezer_dir, false, [](const std::string &one) { try_write(one, "freezer.state", "THAWED"); });
		}
		if (!pause_until(deadline, round)) {
			return false;
		}
	}
}

namespace {

Fd open_rules(const std::string &dir, const char *file) {
	Fd fd(::open(cat(dir, "/", file).c_str(), O_WRONLY | O_CLOEXEC));
	if (!fd) {
		throw_errno("devices", cat("cannot open ", dir, "/", file));
	}
	return fd;
}

struct RuleFiles {
	Fd allow, deny;
};

void write_rule(const RuleFiles &files, const std::string &dir, const DeviceRule &rule) {
	auto text = device_rule_text(rule);
	const Fd &fd = rule.allow ? files.allow : files.deny;
	if (::write(fd.get(), text.data(), text.size()) < 0) {
		// EPERM: the rule is wider than what the parent allows (nested in another container): the parent's rules stand.
		if (errno != EPERM) {
			throw_errno("devices", cat("cannot ", rule.allow ? "allow" : "deny", " device '", text, "' in ", dir));
		}
	}
}

void write_rules(const std::string &dir, const std::vector<DeviceRule> &rules) {
	RuleFiles files{open_rules(dir, "devices.allow"), open_rules(dir, "devices.deny")};
	for (const auto &rule : rules) {
		write_rule(files, dir, rule);
	}
}

} // namespace

void v1_apply_devices(const std::string &payload, const std::string *inner, const std::vector<DeviceRule> &rules) {
	if (inner != nullptr && ::access(inner->c_str(), F_OK) != 0) {
		// The kernel refuses `a` in a cgroup with children (EINVAL), and a removed child counts for a while: create_cgroups leaves this one
		// to us. A child made after the rules inherits them.
		write_rules(payload, rules);
		if (::mkdir(inner->c_str(), 0755) != 0) {
			throw_errno("devices", cat("cannot make cgroup ", *inner));
		}
		return;
	}
	// A live tree: a deny goes down by itself, an allow must be given to each level from above.
	auto changes = rules;
	std::erase_if(changes, [](const DeviceRule &rule) { return rule.type == 'a'; }); // has been applied, and is refused here
	walk(payload, false, [&](const std::string &dir) { write_rules(dir, changes); });
}

namespace {

std::optional<std::uint64_t> sum_io(std::string_view text) {
	// Lines `MAJ:MIN Op bytes`, and a last one `Total bytes`.
	return keyed_value(text, "Total");
}

} // namespace

void v1_read_usage(const CgroupDirs &payload, CgroupUsage &usage) {
	if (const auto *dir = v1_dir(payload, "cpuacct")) {
		usage.cpu_ns = try_read_number(*dir, "cpuacct.usage");
	}
	if (const auto *dir = v1_dir(payload, "memory")) {
		usage.memory_bytes = try_read_number(*dir, "memory.usage_in_bytes");
		usage.kernel_memory_bytes = try_read_number(*dir, "memory.kmem.usage_in_bytes");
		auto with_swap = try_read_number(*dir, "memory.memsw.usage_in_bytes");
		if (with_swap && usage.memory_bytes) {
			usage.swap_bytes = *with_swap > *usage.memory_bytes ? *with_swap - *usage.memory_bytes : 0;
		}
	}
	if (const auto *dir = v1_dir(payload, "blkio")) {
		for (const char *file : {"blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"}) {
			auto text = try_read(*dir, file);
			usage.io_bytes = text ? sum_io(*text) : std::nullopt;
			if (usage.io_bytes) {
				break;
			}
		}
	}
}

} // namespace tslxc::cgroup_detail
