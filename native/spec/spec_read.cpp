#include "read.hpp"
#include "spec.hpp"

namespace tslxc {

namespace {
constexpr int spec_version = 1;

std::pair<std::string, std::string> read_pair(const Json &value, const std::string &place) {
	if (!value.is_array() || value.size() != 2) {
		bad_spec(place, "is no pair");
	}
	return {read_text(value[0], place), read_text(value[1], place)};
}

Listing read_listing(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	Listing out;
	out.autostart = reader.boolean("autostart");
	out.order = reader.number<int>("order");
	out.delay_seconds = reader.number<int>("delaySeconds");
	out.groups = reader.texts("groups");
	out.unprivileged = reader.boolean("unprivileged");
	reader.done();
	return out;
}

InitPlan read_init(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	InitPlan out;
	out.argv = reader.texts("argv");
	out.cwd = reader.text("cwd");
	out.env = reader.texts("env");
	out.inherit_env = reader.texts("inheritEnv");
	out.uid = reader.number<uid_t>("uid");
	out.gid = reader.number<gid_t>("gid");
	out.groups = reader.list("groups", read_number<gid_t>);
	ObjectReader signals(reader.at("signals"), reader.place("signals"));
	out.halt_signal = signals.optional_number<int>("halt");
	out.reboot_signal = signals.number<int>("reboot");
	out.stop_signal = signals.number<int>("stop");
	signals.done();
	out.personality = reader.optional_number<unsigned long>("personality");
	reader.done();
	if (out.argv.empty()) {
		bad_spec(place, "has no argv");
	}
	return out;
}

IdRange read_id_range(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	IdRange out;
	out.type = read_word(reader.at("type"), reader.place("type"), {"u", "g"}) == 0 ? 'u' : 'g';
	out.inside = reader.number<std::uint32_t>("inside");
	out.outside = reader.number<std::uint32_t>("outside");
	out.count = reader.number<std::uint32_t>("count");
	reader.done();
	return out;
}

MountSource read_mount_source(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	MountSource out;
	using Kind = MountSource::Kind;
	out.kind = static_cast<Kind>(read_word(reader.at("kind"), reader.place("kind"), {"bind", "fs", "overlay", "loop", "block"}));
	switch (out.kind) {
	case Kind::bind:
		out.path = reader.text("path");
		out.recursive = reader.boolean("recursive");
		break;
	case Kind::fs:
		out.type = reader.text("type");
		out.path = reader.text("source");
		out.options = reader.text("options");
		break;
	case Kind::overlay:
		out.lowers = reader.texts("lowers");
		out.upper = reader.optional_text("upper");
		out.work = reader.optional_text("work");
		break;
	case Kind::loop:
		out.path = reader.text("file");
		out.type = reader.text("type");
		break;
	case Kind::block:
		out.path = reader.text("device");
		out.type = reader.text("type");
		break;
	}
	reader.done();
	return out;
}

MountEntry read_mount(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	MountEntry out;
	out.target = reader.text("target");
	out.by_monitor = read_word(reader.at("by"), reader.place("by"), {"init", "monitor"}) == 1;
	out.source = read_mount_source(reader.at("source"), reader.place("source"));
	out.flags = reader.texts("flags");
	out.propagation = reader.optional_text("propagation");
	if (const Json *create = reader.find("create")) {
		out.create = read_word(*create, reader.place("create"), {"dir", "file"}) == 0 ? "dir" : "file";
	}
	out.optional = reader.flag("optional");
	if (const Json *idmap = reader.find("idmap")) {
		const bool whole = read_word(*idmap, reader.place("idmap"), {"container", "container-without-root"}) == 0;
		out.idmap = whole ? MountEntry::Idmap::container : MountEntry::Idmap::container_without_root;
	}
	out.relative = reader.flag("relative");
	reader.done();
	return out;
}

GuestFile read_guest_file(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	GuestFile out;
	out.path = reader.text("path");
	out.content = reader.text("content");
	out.mode = reader.number<unsigned>("mode");
	out.kind = static_cast<GuestFile::Kind>(read_word(reader.at("kind"), reader.place("kind"), {"replace", "block", "absent"}));
	out.only_if_dir = reader.optional_text("onlyIfDir");
	reader.done();
	return out;
}

DeviceRule read_device(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	DeviceRule out;
	out.allow = reader.boolean("allow");
	out.type = "abc"[read_word(reader.at("type"), reader.place("type"), {"a", "b", "c"})];
	out.major = reader.optional_number<unsigned>("major");
	out.minor = reader.optional_number<unsigned>("minor");
	out.access = reader.text("access");
	reader.done();
	return out;
}

int read_family(ObjectReader &reader) {
	const int family = reader.number<int>("family");
	if (family != 4 && family != 6) {
		bad_spec(reader.place("family"), "is neither 4 nor 6");
	}
	return family;
}

InterfaceAddress read_address(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	InterfaceAddress out;
	out.family = read_family(reader);
	out.address = reader.text("address");
	out.prefix = reader.number<int>("prefix");
	out.broadcast = reader.optional_text("broadcast");
	reader.done();
	return out;
}

InterfaceGateway read_gateway(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	InterfaceGateway out;
	out.family = read_family(reader);
	out.address = reader.text("address");
	reader.done();
	return out;
}

InterfacePlan read_interface(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	InterfacePlan out;
	out.index = reader.number<int>("index");
	out.type = reader.text("type");
	read_word(reader.at("type"), reader.place("type"), {"veth", "empty", "none"});
	out.name = reader.optional_text("name");
	out.link = reader.optional_text("link");
	out.host_name = reader.optional_text("hostName");
	out.hwaddr = reader.optional_text("hwaddr");
	out.mtu = reader.optional_number<unsigned>("mtu");
	out.up = reader.boolean("up");
	out.addresses = reader.list("addresses", read_address);
	out.gateways = reader.list("gateways", read_gateway);
	ObjectReader scripts(reader.at("scripts"), reader.place("scripts"));
	out.scripts_up = scripts.list("up", read_texts);
	out.scripts_down = scripts.list("down", read_texts);
	scripts.done();
	reader.done();
	return out;
}

CgroupPlan read_cgroup(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	CgroupPlan out;
	out.path = reader.optional_text("path");
	out.monitor_path = reader.optional_text("monitorPath");
	out.inner_path = reader.optional_text("innerPath");
	out.limits = reader.list("limits", read_pair);
	out.legacy_limits = reader.list("legacyLimits", read_pair);
	reader.done();
	return out;
}

SecurityPlan read_security(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	SecurityPlan out;
	ObjectReader capabilities(reader.at("capabilities"), reader.place("capabilities"));
	out.keep_mode = read_word(capabilities.at("mode"), capabilities.place("mode"), {"drop", "keep"}) == 1;
	out.capability_names = capabilities.texts("names");
	capabilities.done();
	out.seccomp_filter = reader.optional_text("seccompFilter");
	out.no_new_privileges = reader.boolean("noNewPrivileges");
	out.keyring = reader.boolean("keyring");
	out.masked_paths = reader.texts("maskedPaths");
	out.readonly_paths = reader.texts("readonlyPaths");
	reader.done();
	return out;
}

Rlimit read_rlimit(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	Rlimit out;
	out.name = reader.text("name");
	out.soft = reader.optional_number<std::uint64_t>("soft");
	out.hard = reader.optional_number<std::uint64_t>("hard");
	reader.done();
	return out;
}

ConsolePlan read_console(const Json &value, const std::string &place) {
	ObjectReader reader(value, place);
	ConsolePlan out;
	out.ttys = reader.number<int>("ttys");
	out.tty_dir = reader.text("ttyDir");
	out.ptys = reader.number<int>("ptys");
	out.path = reader.optional_text("path");
	out.log_file = reader.optional_text("logFile");
	out.rotate = reader.boolean("rotate");
	out.log_bytes = reader.number<std::uint64_t>("logBytes");
	out.buffer_bytes = reader.number<std::uint64_t>("bufferBytes");
	reader.done();
	return out;
}

void read_namespaces(Spec &out, const Json &value) {
	ObjectReader reader(value, "namespaces");
	const std::initializer_list<std::string_view> known = {"mount", "net", "ipc", "uts", "pid", "user", "cgroup", "time"};
	out.create_namespaces = reader.texts("create");
	for (const Json &name : reader.at("create")) {
		read_word(name, "namespaces.create", known);
	}
	const Json &join = reader.at("join");
	if (!join.is_object()) {
		bad_spec("namespaces.join", "is no object");
	}
	for (const auto &item : join.items()) {
		read_word(Json(item.key()), "namespaces.join", known);
		out.join_namespaces[item.key()] = read_text(item.value(), cat("namespaces.join.", item.key()));
	}
	reader.done();
}

void read_hooks(Spec &out, const Json &value) {
	ObjectReader reader(value, "hooks");
	out.hook_version = reader.number<int>("version");
	out.hook_env = reader.texts("env");
	out.hook_inherit_env = reader.texts("inheritEnv");
	const Json &steps = reader.at("steps");
	if (!steps.is_object()) {
		bad_spec("hooks.steps", "is no object");
	}
	for (const auto &item : steps.items()) {
		const std::string place = cat("hooks.steps.", item.key());
		read_word(Json(item.key()), "hooks.steps",
				  {"pre-start", "pre-mount", "mount", "autodev", "start-host", "start", "stop", "post-stop"});
		out.hooks[item.key()] = read_list(item.value(), place, read_texts);
	}
	reader.done();
}

Spec read_spec(const Json &value) {
	ObjectReader reader(value, "");
	if (reader.number<int>("version") != spec_version) {
		bad_spec("version", "is another one");
	}
	Spec out;
	out.build = reader.text("build");
	out.listing = read_listing(reader.at("listing"), "listing");
	out.stamps = reader.list("stamps", read_stamp);
	out.name = reader.text("name");
	out.config_file = reader.text("configFile");
	out.rootfs_path = reader.text("rootfsPath");
	out.rootfs_mount = reader.optional_text("rootfsMount");
	out.init = read_init(reader.at("init"), "init");
	out.hostname = reader.text("hostname");
	read_namespaces(out, reader.at("namespaces"));
	out.idmap = reader.list("idmap", read_id_range);
	out.mounts = reader.list("mounts", read_mount);
	ObjectReader autodev(reader.at("autodev"), "autodev");
	out.autodev = autodev.boolean("enabled");
	out.autodev_bytes = autodev.number<std::uint64_t>("tmpfsBytes");
	autodev.done();
	out.files = reader.list("files", read_guest_file);
	out.devices = reader.list("devices", read_device);
	out.network = reader.list("network", read_interface);
	out.cgroup = read_cgroup(reader.at("cgroup"), "cgroup");
	out.security = read_security(reader.at("security"), "security");
	out.rlimits = reader.list("rlimits", read_rlimit);
	out.console = read_console(reader.at("console"), "console");
	read_hooks(out, reader.at("hooks"));
	ObjectReader log(reader.at("log"), "log");
	out.log_file = log.optional_text("file");
	out.log_level = log.text("level");
	log.done();
	out.ephemeral = reader.boolean("ephemeral");
	out.keys = reader.list("keys", read_pair);
	reader.done();
	return out;
}
} // namespace

Spec parse_spec(std::string_view json) {
	const Json value = Json::parse(json, nullptr, false);
	if (value.is_discarded()) {
		bad_spec("", "is no JSON");
	}
	return read_spec(value);
}

namespace {
std::size_t skip_text(std::string_view json, std::size_t at) {
	for (at++; at < json.size() && json[at] != '"'; at++) {
		at += json[at] == '\\' ? 1 : 0;
	}
	return at + 1;
}

/** Behind the value that begins at `at`. */
std::size_t skip_value(std::string_view json, std::size_t at) {
	int depth = 0;
	while (at < json.size()) {
		const char c = json[at];
		if (c == '"') {
			at = skip_text(json, at);
			continue;
		}
		if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
			break;
		}
		depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
		at++;
	}
	return at;
}

/** The members of the outermost object as text, values unparsed. */
std::map<std::string_view, std::string_view> members_of(std::string_view json) {
	std::map<std::string_view, std::string_view> out;
	std::size_t at = json.find('{');
	while (at < json.size() && (at = json.find_first_of("\"}", at)) < json.size() && json[at] == '"') {
		const std::size_t key_end = skip_text(json, at);
		const std::size_t colon = json.find(':', key_end);
		if (colon >= json.size()) {
			break;
		}
		const std::size_t end = skip_value(json, colon + 1);
		out[json.substr(at + 1, key_end - at - 2)] = json.substr(colon + 1, end - colon - 1);
		at = end;
	}
	return out;
}
} // namespace

Spec parse_spec_for_entering(std::string_view json) {
	const auto members = members_of(json);
	const auto part = [&members](const char *key) {
		const auto found = members.find(key);
		const Json value = found == members.end() ? Json(Json::value_t::discarded) : Json::parse(found->second, nullptr, false);
		if (value.is_discarded()) {
			bad_spec(key, "is missing or no JSON");
		}
		return value;
	};
	if (part("version") != Json(spec_version)) {
		bad_spec("version", "is another one");
	}
	Spec out;
	out.name = read_text(part("name"), "name");
	out.init = read_init(part("init"), "init");
	read_namespaces(out, part("namespaces"));
	out.idmap = read_list(part("idmap"), "idmap", read_id_range);
	out.security = read_security(part("security"), "security");
	out.rlimits = read_list(part("rlimits"), "rlimits", read_rlimit);
	return out;
}

} // namespace tslxc
