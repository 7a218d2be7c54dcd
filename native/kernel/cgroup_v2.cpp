// cgroup v2. Kernel documentation: admin-guide/cgroup-v2.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "../base/error.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "cgroup_hierarchy.hpp"
#include "device_filter.hpp"

namespace tslxc::cgroup_detail {

void v2_enable_controllers(const std::string &dir) {
	auto available = split(trim(try_read(dir, "cgroup.controllers").value_or("")), ' ');
	auto enabled = split(trim(try_read(dir, "cgroup.subtree_control").value_or("")), ' ');
	std::vector<std::string> missing;
	for (const auto &name : available) {
		if (!name.empty() && std::ranges::find(enabled, name) == enabled.end()) {
			missing.push_back(cat("+", name));
		}
	}
	if (missing.empty() || try_write(dir, "cgroup.subtree_control", join(missing, " ")) == 0) {
		return;
	}
	for (const auto &one : missing) {
		int error = try_write(dir, "cgroup.subtree_control", one);
		if (error != 0) {
			// EBUSY: processes live here (no internal processes); EINVAL: cpu with realtime processes. A limit that needs it complains.
			log::debug("cgroup", cat("cannot enable ", one, " in ", dir, ": errno ", error));
		}
	}
}

namespace {

// cgroup.events raises POLLPRI at each change, but at most every 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV, kernel/cgroup/cgroup.c): a change that
// follows another within them is told late. So for that long the file is read again at short intervals.
constexpr int short_waits = 40;
constexpr timespec short_wait{0, 250'000};

// Waits until `key` of cgroup.events has the wanted value.
bool wait_for_event(const std::string &dir, std::string_view key, std::uint64_t wanted, int timeout_ms) {
	Fd events(::open(cat(dir, "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
	if (!events) {
		return errno == ENOENT && key == "populated";
	}
	auto deadline = monotonic_ms() + timeout_ms;
	for (int round = 0;; ++round) {
		std::array<char, 256> buffer;
		ssize_t count = ::pread(events.get(), buffer.data(), buffer.size(), 0);
		if (count < 0) {
			return errno == ENODEV && key == "populated"; // removed meanwhile
		}
		if (keyed_value({buffer.data(), static_cast<std::size_t>(count)}, key) == wanted) {
			return true;
		}
		auto left = deadline - monotonic_ms();
		if (left <= 0) {
			return false;
		}
		pollfd poll_fd{events.get(), POLLPRI, 0};
		const timespec rest{left / 1000, (left % 1000) * 1'000'000};
		::ppoll(&poll_fd, 1, round < short_waits ? &short_wait : &rest, nullptr);
	}
}

} // namespace

bool v2_can_freeze(const std::string &dir) {
	return ::access(cat(dir, "/cgroup.freeze").c_str(), W_OK) == 0;
}

void v2_freeze(const std::string &dir, int timeout_ms) {
	int error = try_write(dir, "cgroup.freeze", "1");
	if (error == 0 && !wait_for_event(dir, "frozen", 1, timeout_ms)) {
		try_write(dir, "cgroup.freeze", "0");
		error = ETIMEDOUT;
	}
	if (error != 0) {
		throw_errno("freeze", cat("cannot freeze ", dir), error);
	}
}

void v2_thaw(const std::string &dir) {
	int error = try_write(dir, "cgroup.freeze", "0");
	if (error != 0) {
		throw_errno("unfreeze", cat("cannot unfreeze ", dir), error);
	}
}

std::optional<bool> v2_kill(const std::string &dir, int timeout_ms) {
	// An empty one is left alone: a later CLONE_INTO_CGROUP into a cgroup that was killed once is killed as well, for the kernel compares
	// the count of kills of the forker's own cgroup (kargs->kill_seq, since 6.12) with the target's.
	auto events = try_read(dir, "cgroup.events");
	if (events && keyed_value(*events, "populated") == 0u) {
		return true;
	}
	int error = try_write(dir, "cgroup.kill", "1");
	if (error != 0) {
		return ::access(dir.c_str(), F_OK) == 0 ? std::nullopt : std::optional(true);
	}
	return wait_for_event(dir, "populated", 0, timeout_ms);
}

void v2_apply_devices(const std::string &payload, const std::vector<DeviceRule> &rules) {
	Fd dir(::open(payload.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!dir) {
		throw_errno("devices", cat("cannot open ", payload));
	}
	attach_device_filter(dir.get(), device_filter_program(rules));
}

void v2_read_usage(const std::string &dir, CgroupUsage &usage) {
	auto cpu = try_read(dir, "cpu.stat");
	auto microseconds = cpu ? keyed_value(*cpu, "usage_usec") : std::nullopt;
	if (microseconds && !usage.cpu_ns) {
		usage.cpu_ns = *microseconds * 1000;
	}
	if (!usage.memory_bytes) {
		usage.memory_bytes = try_read_number(dir, "memory.current");
		usage.swap_bytes = try_read_number(dir, "memory.swap.current");
		auto stat = try_read(dir, "memory.stat");
		usage.kernel_memory_bytes = stat ? keyed_value(*stat, "kernel") : std::nullopt;
	}
	auto io = usage.io_bytes ? std::nullopt : try_read(dir, "io.stat");
	if (!io) {
		return;
	}
	// Lines `MAJ:MIN rbytes=N wbytes=N rios=…`
	std::uint64_t total = 0;
	for (const auto &line : split(*io, '\n')) {
		for (const auto &word : split(line, ' ')) {
			if (word.starts_with("rbytes=") || word.starts_with("wbytes=")) {
				total += static_cast<std::uint64_t>(to_int(std::string_view(word).substr(7)).value_or(0));
			}
		}
	}
	usage.io_bytes = total;
}

} // namespace tslxc::cgroup_detail
