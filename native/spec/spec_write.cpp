#include <array>

#include <nlohmann/json.hpp>

#include "spec.hpp"

namespace tslxc {

namespace {
using Json = nlohmann::ordered_json;

constexpr std::array namespace_order = {"mount", "net", "ipc", "uts", "pid", "user", "cgroup", "time"};
constexpr std::array hook_order = {"pre-start", "pre-mount", "mount", "autodev", "start-host", "start", "stop", "post-stop"};

void put_text(Json &object, const char *key, const std::string &text) {
	if (!text.empty()) {
		object[key] = text;
	}
}

template <typename T> void put_number(Json &object, const char *key, const std::optional<T> &number) {
	if (number) {
		object[key] = *number;
	}
}

template <typename T, typename F> Json list_of(const std::vector<T> &items, F each) {
	Json out = Json::array();
	for (const T &item : items) {
		out.push_back(each(item));
	}
	return out;
}

Json pair_of(const std::pair<std::string, std::string> &pair) {
	return Json::array({pair.first, pair.second});
}

Json stamp_json(const Stamp &stamp) {
	return stamp.absent ? Json::array({stamp.path}) : Json::array({stamp.path, stamp.dev, stamp.inode, stamp.size, stamp.ctime_ns});
}

Json listing_json(const Listing &listing) {
	Json out;
	out["autostart"] = listing.autostart;
	out["order"] = listing.order;
	out["delaySeconds"] = listing.delay_seconds;
	out["groups"] = listing.groups;
	out["unprivileged"] = listing.unprivileged;
	return out;
}

Json init_json(const InitPlan &init) {
	Json out;
	out["argv"] = init.argv;
	out["cwd"] = init.cwd;
	out["env"] = init.env;
	out["inheritEnv"] = init.inherit_env;
	out["uid"] = init.uid;
	out["gid"] = init.gid;
	out["groups"] = init.groups;
	Json signals = Json::object();
	put_number(signals, "halt", init.halt_signal);
	signals["reboot"] = init.reboot_signal;
	signals["stop"] = init.stop_signal;
	out["signals"] = signals;
	put_number(out, "personality", init.personality);
	return out;
}

Json id_range_json(const IdRange &range) {
	Json out;
	out["type"] = std::string(1, range.type);
	out["inside"] = range.inside;
	out["outside"] = range.outside;
	out["count"] = range.count;
	return out;
}

Json mount_source_json(const MountSource &source) {
	Json out;
	switch (source.kind) {
	case MountSource::Kind::bind:
		out["kind"] = "bind";
		out["path"] = source.path;
		out["recursive"] = source.recursive;
		break;
	case MountSource::Kind::fs:
		out["kind"] = "fs";
		out["type"] = source.type;
		out["source"] = source.path;
		out["options"] = source.options;
		break;
	case MountSource::Kind::overlay:
		out["kind"] = "overlay";
		out["lowers"] = source.lowers;
		put_text(out, "upper", source.upper);
		put_text(out, "work", source.work);
		break;
	case MountSource::Kind::loop:
		out["kind"] = "loop";
		out["file"] = source.path;
		out["type"] = source.type;
		break;
	case MountSource::Kind::block:
		out["kind"] = "block";
		out["device"] = source.path;
		out["type"] = source.type;
		break;
	}
	return out;
}

Json mount_json(const MountEntry &entry) {
	Json out;
	out["target"] = entry.target;
	out["by"] = entry.by_monitor ? "monitor" : "init";
	out["source"] = mount_source_json(entry.source);
	out["flags"] = entry.flags;
	put_text(out, "propagation", entry.propagation);
	put_text(out, "create", entry.create);
	if (entry.optional) {
		out["optional"] = true;
	}
	if (entry.idmap != MountEntry::Idmap::none) {
		out["idmap"] = entry.idmap == MountEntry::Idmap::container ? "container" : "container-without-root";
	}
	if (entry.relative) {
		out["relative"] = true;
	}
	return out;
}

Json guest_file_json(const GuestFile &file) {
	constexpr std::array kinds = {"replace", "block", "absent"};
	Json out;
	out["path"] = file.path;
	out["content"] = file.content;
	out["mode"] = file.mode;
	out["kind"] = kinds[static_cast<std::size_t>(file.kind)];
	put_text(out, "onlyIfDir", file.only_if_dir);
	return out;
}

Json device_json(const DeviceRule &rule) {
	Json out;
	out["allow"] = rule.allow;
	out["type"] = std::string(1, rule.type);
	put_number(out, "major", rule.major);
	put_number(out, "minor", rule.minor);
	out["access"] = rule.access;
	return out;
}

Json address_json(const InterfaceAddress &address) {
	Json out;
	out["family"] = address.family;
	out["address"] = address.address;
	out["prefix"] = address.prefix;
	put_text(out, "broadcast", address.broadcast);
	return out;
}

Json gateway_json(const InterfaceGateway &gateway) {
	Json out;
	out["family"] = gateway.family;
	out["address"] = gateway.address;
	return out;
}

Json interface_json(const InterfacePlan &plan) {
	Json out;
	out["index"] = plan.index;
	out["type"] = plan.type;
	put_text(out, "name", plan.name);
	put_text(out, "link", plan.link);
	put_text(out, "hostName", plan.host_name);
	put_text(out, "hwaddr", plan.hwaddr);
	put_number(out, "mtu", plan.mtu);
	out["up"] = plan.up;
	out["addresses"] = list_of(plan.addresses, address_json);
	out["gateways"] = list_of(plan.gateways, gateway_json);
	out["scripts"] = Json::object({{"up", plan.scripts_up}, {"down", plan.scripts_down}});
	return out;
}

Json cgroup_json(const CgroupPlan &plan) {
	Json out;
	put_text(out, "path", plan.path);
	put_text(out, "monitorPath", plan.monitor_path);
	put_text(out, "innerPath", plan.inner_path);
	out["limits"] = list_of(plan.limits, pair_of);
	out["legacyLimits"] = list_of(plan.legacy_limits, pair_of);
	return out;
}

Json security_json(const SecurityPlan &plan) {
	Json out;
	out["capabilities"] = Json::object({{"mode", plan.keep_mode ? "keep" : "drop"}, {"names", plan.capability_names}});
	put_text(out, "seccompFilter", plan.seccomp_filter);
	out["noNewPrivileges"] = plan.no_new_privileges;
	out["keyring"] = plan.keyring;
	out["maskedPaths"] = plan.masked_paths;
	out["readonlyPaths"] = plan.readonly_paths;
	return out;
}

Json rlimit_json(const Rlimit &limit) {
	Json out;
	out["name"] = limit.name;
	put_number(out, "soft", limit.soft);
	put_number(out, "hard", limit.hard);
	return out;
}

Json console_json(const ConsolePlan &plan) {
	Json out;
	out["ttys"] = plan.ttys;
	out["ttyDir"] = plan.tty_dir;
	out["ptys"] = plan.ptys;
	put_text(out, "path", plan.path);
	put_text(out, "logFile", plan.log_file);
	out["rotate"] = plan.rotate;
	out["logBytes"] = plan.log_bytes;
	out["bufferBytes"] = plan.buffer_bytes;
	return out;
}

Json namespaces_json(const Spec &spec) {
	Json join = Json::object();
	for (const char *name : namespace_order) {
		const auto found = spec.join_namespaces.find(name);
		if (found != spec.join_namespaces.end()) {
			join[name] = found->second;
		}
	}
	Json out;
	out["create"] = spec.create_namespaces;
	out["join"] = join;
	return out;
}

Json hooks_json(const Spec &spec) {
	Json steps = Json::object();
	for (const char *name : hook_order) {
		const auto found = spec.hooks.find(name);
		if (found != spec.hooks.end()) {
			steps[name] = found->second;
		}
	}
	Json out;
	out["version"] = spec.hook_version;
	out["env"] = spec.hook_env;
	out["inheritEnv"] = spec.hook_inherit_env;
	out["steps"] = steps;
	return out;
}

void put_surroundings(Json &out, const Spec &spec) {
	out["cgroup"] = cgroup_json(spec.cgroup);
	out["security"] = security_json(spec.security);
	out["rlimits"] = list_of(spec.rlimits, rlimit_json);
	out["console"] = console_json(spec.console);
	out["hooks"] = hooks_json(spec);
	Json log = Json::object();
	put_text(log, "file", spec.log_file);
	log["level"] = spec.log_level;
	out["log"] = log;
	out["ephemeral"] = spec.ephemeral;
	out["keys"] = list_of(spec.keys, pair_of);
}
} // namespace

std::string write_spec(const Spec &spec) {
	Json out;
	out["version"] = 1;
	out["build"] = spec.build;
	out["listing"] = listing_json(spec.listing);
	out["stamps"] = list_of(spec.stamps, stamp_json);
	out["name"] = spec.name;
	out["configFile"] = spec.config_file;
	out["rootfsPath"] = spec.rootfs_path;
	put_text(out, "rootfsMount", spec.rootfs_mount);
	out["init"] = init_json(spec.init);
	out["hostname"] = spec.hostname;
	out["namespaces"] = namespaces_json(spec);
	out["idmap"] = list_of(spec.idmap, id_range_json);
	out["mounts"] = list_of(spec.mounts, mount_json);
	out["autodev"] = Json::object({{"enabled", spec.autodev}, {"tmpfsBytes", spec.autodev_bytes}});
	out["files"] = list_of(spec.files, guest_file_json);
	out["devices"] = list_of(spec.devices, device_json);
	out["network"] = list_of(spec.network, interface_json);
	put_surroundings(out, spec);
	return out.dump();
}

bool Spec::creates(std::string_view ns) const {
	for (const std::string &name : create_namespaces) {
		if (name == ns) {
			return true;
		}
	}
	return false;
}

} // namespace tslxc
