#include <array>
#include <cstdio>

#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../container/network.hpp"
#include "../kernel/cgroup.hpp"
#include "../kernel/netlink.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"
#include "info_keys.hpp"
#include "node.hpp"
#include "specs.hpp"

namespace tslxc {

namespace {
struct LinkUse {
	std::string name;
	std::uint64_t tx_bytes = 0, rx_bytes = 0; // as the container sees them
};

struct Info {
	Observation seen;
	bool running = false;
	NetworkView network;
	CgroupUsage usage;
	std::vector<LinkUse> links;
	std::vector<std::pair<std::string, std::optional<std::string>>> keys; // absent: unknown key
	bool edited = false;
};

struct Wanted {
	bool name, state, pid, ips, stats;
	bool bare; // -H with exactly one of -s -p -i
	bool human;
};

Wanted read_wanted(const Invocation &invocation) {
	Wanted out{};
	out.state = invocation.has("state");
	out.pid = invocation.has("pid");
	out.ips = invocation.has("ips");
	out.stats = invocation.has("stats");
	out.human = !invocation.has("no-humanize");
	out.bare = !out.human && out.state + out.pid + out.ips == 1 && !out.stats;
	if (!out.state && !out.pid && !out.ips && !out.stats && !invocation.has("config")) {
		out.name = out.state = out.pid = out.ips = out.stats = true;
	}
	return out;
}

/** The plan in force for one that runs; for a stopped one what the next start would take. */
std::string find_spec(const Invocation &invocation, bool running) {
	if (const auto file = invocation.value("rcfile")) {
		return compile_once(invocation.paths, invocation.name(), {"--rcfile", *file}).spec;
	}
	if (running) {
		if (auto text = read_file_if_present(invocation.paths.run_dir(invocation.name()) + "/spec.json")) {
			return std::move(*text);
		}
	}
	return up_to_date_spec(invocation.paths, invocation.name());
}

void read_keys(const Invocation &invocation, Info &info) {
	const auto wanted = invocation.values("config");
	if (wanted.empty()) {
		return;
	}
	const Spec spec = parse_spec(find_spec(invocation, info.running));
	for (const std::string &key : wanted) {
		info.keys.emplace_back(key, find_key(spec, key));
	}
}

std::vector<LinkUse> read_links(const State &state) {
	std::vector<LinkUse> out;
	std::optional<Netlink> netlink;
	for (const InterfaceState &interface : state.interfaces) {
		const std::string &name = interface.host_name.empty() ? interface.link : interface.host_name;
		if (name.empty()) {
			continue;
		}
		if (!netlink) {
			netlink.emplace();
		}
		if (const auto link = netlink->find_link(name)) {
			out.push_back({name, link->rx_bytes, link->tx_bytes});
		}
	}
	return out;
}

bool was_edited(const Invocation &invocation) {
	const auto text = read_file_if_present(invocation.paths.run_dir(invocation.name()) + "/spec.json");
	const auto head = text ? parse_spec_head(*text) : std::nullopt;
	return head && inputs_changed(*head);
}

Info gather(const Invocation &invocation, const Wanted &wanted) {
	Info info;
	info.seen = observe(invocation.paths.run_dir(invocation.name()));
	const State &state = info.seen.state;
	info.running = state.state != RunState::stopped;
	if (!info.running) {
		require_defined(invocation, invocation.name());
	}
	const Fd process = info.running && wanted.ips ? open_process(state.init_pid, state.init_start_time) : Fd();
	if (process) {
		info.network = view_network(process.get());
	}
	if (info.running && wanted.stats) {
		info.usage = read_usage(state.cgroups);
		info.links = read_links(state);
	}
	read_keys(invocation, info);
	info.edited = info.running && (wanted.name || !info.keys.empty() || invocation.json) && was_edited(invocation);
	return info;
}

std::string labelled(const Wanted &wanted, const char *label, std::string_view value) {
	std::string out;
	if (!wanted.bare) {
		out = label;
		out.resize(std::max<std::size_t>(out.size(), 15), ' ');
		out += ' ';
	}
	return cat(out, value, '\n');
}

/** LXC's rounding and its strict limits: 1024 bytes are still bytes. */
std::string size_text(const Wanted &wanted, std::uint64_t bytes) {
	std::array<char, 64> text;
	if (!wanted.human) {
		return cat(bytes);
	}
	if (bytes > 1u << 30) {
		const unsigned long long x = bytes;
		std::snprintf(text.data(), text.size(), "%llu.%2.2llu GiB", x >> 30, (x & ((1u << 30) - 1)) / 10737419);
	} else if (bytes > 1u << 20) {
		const unsigned long long x = bytes + 5243;
		std::snprintf(text.data(), text.size(), "%llu.%2.2llu MiB", x >> 20, ((x & ((1u << 20) - 1)) * 100) >> 20);
	} else if (bytes > 1u << 10) {
		const unsigned long long x = bytes + 5;
		std::snprintf(text.data(), text.size(), "%llu.%2.2llu KiB", x >> 10, ((x & ((1u << 10) - 1)) * 100) >> 10);
	} else {
		return cat(bytes, " bytes");
	}
	return text.data();
}

std::string stats_text(const Wanted &wanted, const Info &info) {
	std::string out;
	const CgroupUsage &usage = info.usage;
	if (usage.cpu_ns) {
		std::array<char, 64> text;
		std::snprintf(text.data(), text.size(), "%.2f seconds", static_cast<double>(*usage.cpu_ns) / 1e9);
		out += labelled(wanted, "CPU use:", wanted.human ? std::string(text.data()) : cat(*usage.cpu_ns));
	}
	const std::pair<const char *, const std::optional<std::uint64_t> &> sizes[] = {
		{"BlkIO use:", usage.io_bytes}, {"Memory use:", usage.memory_bytes}, {"KMem use:", usage.kernel_memory_bytes}};
	for (const auto &[label, bytes] : sizes) {
		if (bytes) {
			out += labelled(wanted, label, size_text(wanted, *bytes));
		}
	}
	for (const LinkUse &link : info.links) {
		out += labelled(wanted, "Link:", link.name);
		out += labelled(wanted, " TX bytes:", size_text(wanted, link.tx_bytes));
		out += labelled(wanted, " RX bytes:", size_text(wanted, link.rx_bytes));
		out += labelled(wanted, " Total bytes:", size_text(wanted, link.tx_bytes + link.rx_bytes));
	}
	return out;
}

std::string info_text(const Invocation &invocation, const Wanted &wanted, const Info &info) {
	std::string out;
	const State &state = info.seen.state;
	if (wanted.name) {
		out += labelled(wanted, "Name:", invocation.name());
	}
	if (wanted.state) {
		out += labelled(wanted, "State:", state_name(state.state));
	}
	if (wanted.pid && info.running && state.init_pid > 0) {
		out += labelled(wanted, "PID:", cat(state.init_pid));
	}
	for (const auto *addresses : {&info.network.ipv4, &info.network.ipv6}) {
		for (const auto &[interface, address] : *addresses) {
			out += labelled(wanted, "IP:", address);
		}
	}
	out += stats_text(wanted, info);
	const bool bare_key = !wanted.human && info.keys.size() == 1;
	for (const auto &[key, value] : info.keys) {
		if (value) {
			out += bare_key ? cat(*value, '\n') : cat(key, value->empty() ? " =" : " = ", *value, '\n');
		}
	}
	return out;
}

template <typename T> void put_number(JsonWriter &out, const char *key, const std::optional<T> &number) {
	if (number) {
		out.raw(key, cat(*number));
	}
}

std::string addresses_json(const NetworkView &network) {
	JsonWriter out('[');
	for (const auto *addresses : {&network.ipv4, &network.ipv6}) {
		for (const auto &[interface, address] : *addresses) {
			JsonWriter item('{');
			item.field("interface", interface);
			item.field("address", address);
			out.item(item.done());
		}
	}
	return out.done();
}

std::string info_json(const Invocation &invocation, const Info &info) {
	JsonWriter out('{');
	const State &state = info.seen.state;
	out.field("name", invocation.name());
	out.field("state", state_name(state.state));
	if (info.running) {
		out.raw("pid", cat(state.init_pid));
		out.field("startedAt", state.started_at);
		out.raw("addresses", addresses_json(info.network));
		put_number(out, "cpuNs", info.usage.cpu_ns);
		put_number(out, "blkioBytes", info.usage.io_bytes);
		put_number(out, "memoryBytes", info.usage.memory_bytes);
		put_number(out, "kernelMemoryBytes", info.usage.kernel_memory_bytes);
		JsonWriter links('[');
		for (const LinkUse &link : info.links) {
			JsonWriter item('{');
			item.field("name", link.name);
			item.raw("txBytes", cat(link.tx_bytes));
			item.raw("rxBytes", cat(link.rx_bytes));
			links.item(item.done());
		}
		out.raw("links", links.done());
		out.raw("configEdited", info.edited ? "true" : "false");
	}
	if (!info.running && state.failed && state.exit_status) {
		out.raw("exitStatus", cat(*state.exit_status));
		out.field("consoleTail", state.console_tail);
	}
	if (!info.keys.empty()) {
		JsonWriter keys('{');
		for (const auto &[key, value] : info.keys) {
			keys.raw(key, value ? json_quote(*value) : "null");
		}
		out.raw("config", keys.done());
	}
	return out.done() + '\n';
}
} // namespace

int info_applet(const Invocation &invocation) {
	Wanted wanted = read_wanted(invocation);
	if (invocation.json) {
		wanted.ips = wanted.stats = true;
	}
	const Info info = gather(invocation, wanted);
	print(invocation.json ? info_json(invocation, info) : info_text(invocation, wanted, info));
	for (const auto &[key, value] : info.keys) {
		if (!value && !invocation.quiet) {
			write_all(STDERR_FILENO, cat(key, " invalid\n"), "standard error");
		}
	}
	if (const auto words = wanted.name && !info.running ? last_words(info.seen.state) : ""; !words.empty() && !invocation.json) {
		say(invocation, cat("'", invocation.name(), "' is not running: ", words));
	}
	if (info.edited) {
		say(invocation, cat("the configuration of '", invocation.name(), "' was edited since its start: it applies at the next start"));
	}
	return 0;
}

} // namespace tslxc
