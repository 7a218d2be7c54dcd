// The plan a container is started from: the C++ twin of src/runtime/spec.ts, field by field.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tslxc {

struct Stamp {
	std::string path;
	bool absent = false;
	std::string dev, inode;
	std::int64_t size = 0;
	std::string ctime_ns;
};

struct Listing {
	bool autostart = false;
	int order = 0;
	int delay_seconds = 0;
	std::vector<std::string> groups;
	bool unprivileged = false;
};

struct InitPlan {
	std::vector<std::string> argv;
	std::string cwd;
	std::vector<std::string> env;
	std::vector<std::string> inherit_env;
	uid_t uid = 0;
	gid_t gid = 0;
	std::vector<gid_t> groups;
	std::optional<int> halt_signal; // absent: detected
	int reboot_signal = 0;
	int stop_signal = 0;
	std::optional<unsigned long> personality;
};

struct IdRange {
	char type; // 'u' or 'g'
	std::uint32_t inside, outside, count;
};

struct MountSource {
	enum class Kind { bind, fs, overlay, loop, block } kind = Kind::bind;
	std::string path; // bind path, fs source, loop file, block device
	bool recursive = false;
	std::string type;	 // fs, loop, block
	std::string options; // fs
	std::vector<std::string> lowers;
	std::string upper, work;
};

struct MountEntry {
	std::string target;
	bool by_monitor = false;
	MountSource source;
	std::vector<std::string> flags;
	std::string propagation;
	std::string create; // "", "dir", "file"
	bool optional = false;
	enum class Idmap { none, container, container_without_root } idmap = Idmap::none;
	bool relative = false;
};

struct GuestFile {
	std::string path, content;
	unsigned mode = 0644;
	enum class Kind { replace, block, absent } kind = Kind::replace;
	std::string only_if_dir;
};

struct DeviceRule {
	bool allow = true;
	char type = 'a';
	std::optional<unsigned> major, minor;
	std::string access;
};

struct InterfaceAddress {
	int family = 4; // 4 or 6
	std::string address;
	int prefix = 0;
	std::string broadcast;
};

struct InterfaceGateway {
	int family = 4;
	std::string address; // or "auto", "dev"
};

struct InterfacePlan {
	int index = 0;
	std::string type; // veth, empty, none
	std::string name, link, host_name, hwaddr;
	std::optional<unsigned> mtu;
	bool up = true;
	std::vector<InterfaceAddress> addresses;
	std::vector<InterfaceGateway> gateways;
	std::vector<std::vector<std::string>> scripts_up, scripts_down;
};

using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct CgroupPlan {
	std::string path, monitor_path, inner_path;
	KeyValues limits, legacy_limits;
};

struct SecurityPlan {
	bool keep_mode = false; // capability names are those kept, else those dropped
	std::vector<std::string> capability_names;
	std::string seccomp_filter; // file name beside spec.json; empty: none
	bool no_new_privileges = false;
	bool keyring = true;
	std::vector<std::string> masked_paths, readonly_paths;
};

struct Rlimit {
	std::string name;
	std::optional<std::uint64_t> soft, hard; // absent: unlimited
};

struct ConsolePlan {
	int ttys = 0;
	std::string tty_dir;
	int ptys = 0;
	std::string path; // "", "none", absolute
	std::string log_file;
	bool rotate = false;
	std::uint64_t log_bytes = 0, buffer_bytes = 0;
};

struct Spec {
	std::string build;
	Listing listing;
	std::vector<Stamp> stamps;
	std::string name, config_file, rootfs_path;
	std::string rootfs_mount; // where it stands before pivot_root; empty: our own choice
	InitPlan init;
	std::string hostname;
	std::vector<std::string> create_namespaces;			// mount net ipc uts pid user cgroup time
	std::map<std::string, std::string> join_namespaces; // namespace → pid, name or path
	std::vector<IdRange> idmap;
	std::vector<MountEntry> mounts;
	bool autodev = true;
	std::uint64_t autodev_bytes = 0;
	std::vector<GuestFile> files;
	std::vector<DeviceRule> devices;
	std::vector<InterfacePlan> network;
	CgroupPlan cgroup;
	SecurityPlan security;
	std::vector<Rlimit> rlimits;
	ConsolePlan console;
	int hook_version = 0;
	std::vector<std::string> hook_env, hook_inherit_env;
	std::map<std::string, std::vector<std::vector<std::string>>> hooks;
	std::string log_file, log_level;
	bool ephemeral = false;
	KeyValues keys;

	bool creates(std::string_view ns) const;
	bool unprivileged() const { return !idmap.empty(); }
};

/** Throws SysError "config" naming the key on an unknown key, a wrong type or another version. */
Spec parse_spec(std::string_view json);
/** What it takes to enter a running container: name, init, namespaces, idmap, security and rlimits; all else stays at its defaults, unread.
 *  A tenth of parse_spec's time. */
Spec parse_spec_for_entering(std::string_view json);
/** Writes what parse_spec read, byte for byte as JSON.stringify (test/fixtures/spec), namespaces and hooks in the order of spec.ts's types.
 */
std::string write_spec(const Spec &spec);

/** The head of a spec, for `ls` and for staleness: nothing behind `name` is parsed. */
struct SpecHead {
	std::string build;
	Listing listing;
	std::vector<Stamp> stamps;
};
/** Nothing when the text is not a spec of this version. */
std::optional<SpecHead> parse_spec_head(std::string_view json);

/** What is at path now (symlinks followed); absent when it can't be looked at. */
Stamp stamp_of(const std::string &path);

/** True when the build id differs or an input changed. `seen` saves repeated statx calls of shared inputs across many specs. */
using StampCache = std::map<std::string, std::string>;
bool is_stale(const SpecHead &head, std::string_view build_id, StampCache &seen);

} // namespace tslxc
