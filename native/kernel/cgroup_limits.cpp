// What a container may use: limits and device rules, each written where the host has the controller.
#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "../base/error.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "cgroup_hierarchy.hpp"

namespace tslxc {

using namespace cgroup_detail;

namespace {

/** The v1 and v2 names of what limits the same thing. */
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> twins = {{{"blkio", "io"}, {"cpuacct", "cpu"}, {"cpu", "cpu"}}};

std::string_view controller_of(std::string_view file) {
	return file.substr(0, file.find('.'));
}

std::string_view v2_name(std::string_view controller) {
	for (auto [v1, v2] : twins) {
		if (v1 == controller) {
			return v2;
		}
	}
	return controller;
}

bool mentions(const KeyValues &list, std::string_view v2_controller) {
	return std::ranges::any_of(list, [&](const auto &entry) { return v2_name(controller_of(entry.first)) == v2_controller; });
}

[[noreturn]] void refuse_limit(const std::string &file, const std::string &value, const char *reason) {
	throw_error("host", cat("cannot set ", file, " to '", value, "': ", reason), "run 'tslxc doctor' to see the host's controllers");
}

void write_limit(const std::string &dir, const std::string &file, const std::string &value) {
	int error = try_write(dir, file.c_str(), value);
	if (error != 0) {
		throw_errno("limits", cat("cannot set ", file, " to '", value, "' in ", dir), error,
					error == ENOENT ? "check the key's spelling, or the kernel's cgroup features by 'tslxc doctor'" : "");
	}
}

void apply_v2_limit(const ContainerCgroups &cgroups, const Spec &spec, const std::string &file, const std::string &value) {
	auto controller = controller_of(file);
	const auto *dir = v2_dir(cgroups.payload);
	if (dir != nullptr) {
		auto has = split(trim(try_read(*dir, "cgroup.controllers").value_or("")), ' ');
		if (controller == "cgroup" || std::ranges::find(has, controller) != has.end()) {
			write_limit(*dir, file, value);
			return;
		}
	}
	auto parent = dir == nullptr ? std::string() : dir->substr(0, dir->rfind('/'));
	auto offered = split(trim(try_read(parent, "cgroup.controllers").value_or("")), ' ');
	if (std::ranges::find(offered, controller) != offered.end()) {
		// cgroup-v2.rst, no internal process constraint
		throw_error("host",
					cat("cannot set ", file, " to '", value, "': processes in ", parent, " keep its controllers from the groups below"),
					cat("run 'systemd-run -p Delegate=yes tslxc start -F ", spec.name, "'"));
	}
	bool elsewhere = std::ranges::any_of(cgroups.payload, [&](const auto &entry) {
		return entry.first != v2_key &&
			   std::ranges::any_of(split(entry.first, ','), [&](const auto &name) { return v2_name(name) == controller; });
	});
	if (!elsewhere) {
		refuse_limit(file, value, dir == nullptr ? "this host has no cgroup v2" : "the controller is not enabled on this host");
	}
	if (!mentions(spec.cgroup.legacy_limits, controller)) {
		refuse_limit(file, value, "this host has that controller on cgroup v1, and no key below 'cgroup' says what to set there");
	}
}

void apply_v1_limit(const ContainerCgroups &cgroups, const Spec &spec, const std::string &file, const std::string &value) {
	auto controller = controller_of(file);
	const auto *dir = v1_dir(cgroups.payload, controller);
	if (dir == nullptr) {
		if (!mentions(spec.cgroup.limits, v2_name(controller))) {
			refuse_limit(file, value, "this host does not have that cgroup v1 controller");
		}
		return;
	}
	const auto *inner = v1_dir(cgroups.inner, controller);
	// A child's cpuset must lie inside its parent's: the smaller one is written first. blkio's throttle does not reach children at all.
	if (inner != nullptr && controller == "cpuset") {
		write_limit(*inner, file, value);
	}
	write_limit(*dir, file, value);
	if (inner != nullptr && controller == "blkio") {
		write_limit(*inner, file, value);
	}
}

} // namespace

void apply_limits(const ContainerCgroups &cgroups, const Spec &spec) {
	for (const auto &[file, value] : spec.cgroup.limits) {
		apply_v2_limit(cgroups, spec, file, value);
	}
	for (const auto &[file, value] : spec.cgroup.legacy_limits) {
		apply_v1_limit(cgroups, spec, file, value);
	}
}

void apply_devices(const ContainerCgroups &cgroups, const std::vector<DeviceRule> &rules) {
	if (rules.empty()) {
		return;
	}
	try {
		if (const auto *dir = v1_dir(cgroups.payload, "devices")) {
			v1_apply_devices(*dir, v1_dir(cgroups.inner, "devices"), rules);
		} else if (const auto *unified = v2_dir(cgroups.payload)) {
			v2_apply_devices(*unified, rules);
		}
	} catch (const SysError &error) {
		if (error.info().error_number != EPERM) {
			throw;
		}
		log::debug("devices", error.info().message);
	}
}

} // namespace tslxc
