#include "network.hpp"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <set>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../kernel/netlink.hpp"

namespace tslxc {

namespace {

std::string random_text(std::size_t length, std::string_view alphabet) {
	std::random_device random;
	std::string out;
	for (std::size_t i = 0; i < length; i++) {
		out.push_back(alphabet[random() % alphabet.size()]);
	}
	return out;
}

constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view hex_digits = "0123456789abcdef";

/** LXC's prefix; locally unique by its last three bytes. */
std::string random_hwaddr() {
	auto digits = random_text(6, hex_digits);
	return cat("10:66:6a:", digits.substr(0, 2), ":", digits.substr(2, 2), ":", digits.substr(4, 2));
}

std::string place(const Spec &spec, const InterfacePlan &plan, const char *key) {
	return cat("net[", plan.index, "].", key, " at ", spec.config_file);
}

LinkInfo find_bridge(Netlink &netlink, const Spec &spec, const InterfacePlan &plan) {
	auto link = netlink.find_link(plan.link);
	if (!link) {
		throw_error("host", cat("bridge ", plan.link, " does not exist"),
					cat("run 'tslxc network up', or set ", place(spec, plan, "link")));
	}
	if (link->kind != "bridge") {
		throw_error("host", cat("cannot attach to ", plan.link, ": it is not a bridge"),
					cat("set ", place(spec, plan, "link"), " to a bridge"));
	}
	return *link;
}

/** Names inside, for those without one: the lowest ethN that no other interface of the container asks for. */
std::vector<std::string> inside_names(const std::vector<InterfacePlan> &plans) {
	std::set<std::string> taken;
	for (const auto &plan : plans) {
		taken.insert(plan.name);
	}
	std::vector<std::string> names;
	int next = 0;
	for (const auto &plan : plans) {
		auto name = plan.name;
		while (name.empty() && plan.type == "veth") {
			auto candidate = cat("eth", next++);
			name = taken.contains(candidate) ? "" : candidate;
		}
		names.push_back(name);
	}
	return names;
}

void run_scripts(const Spec &spec, const InterfacePlan &plan, const InterfaceState &made, bool up) {
	for (auto argv : up ? plan.scripts_up : plan.scripts_down) {
		const char *type = up ? "up" : "down";
		std::vector<std::string> env = {cat("LXC_NAME=", spec.name), cat("LXC_CONFIG_FILE=", spec.config_file),
										cat("LXC_HOOK_VERSION=", spec.hook_version)};
		if (spec.hook_version == 0) {
			for (const std::string &word : {spec.name, std::string("net"), std::string(type), plan.type, plan.link, made.host_name}) {
				argv.push_back(word);
			}
		} else {
			for (auto entry : {cat("LXC_HOOK_TYPE=", type), std::string("LXC_HOOK_SECTION=net"), cat("LXC_NET_TYPE=", plan.type),
							   cat("LXC_NET_PARENT=", plan.link), cat("LXC_NET_PEER=", made.host_name)}) {
				env.push_back(std::move(entry));
			}
		}
		auto result = run_program(argv, env);
		log::debug("network", cat("script ", argv[0], ": exit ", result.exit_code, " ", trim(result.output)));
		if (result.exit_code != 0 && up) {
			throw_error("command", cat("cannot run script.up ", argv[0], ": exit code ", result.exit_code, ": ", trim(result.output)),
						cat("see ", place(spec, plan, "script")));
		}
	}
}

InterfaceState make_veth(Netlink &netlink, const Spec &spec, const InterfacePlan &plan, const std::string &inside, int netns_fd) {
	Netlink::Veth veth;
	veth.peer_name = inside;
	veth.peer_netns_fd = netns_fd;
	veth.hwaddr = plan.hwaddr.empty() ? random_hwaddr() : plan.hwaddr;
	veth.mtu = plan.mtu;
	if (!plan.link.empty()) {
		auto bridge = find_bridge(netlink, spec, plan);
		veth.master_index = bridge.index;
		if (!veth.mtu && bridge.mtu != 1500) {
			veth.mtu = bridge.mtu;
		}
	}
	veth.host_name = plan.host_name.empty() ? cat("veth", random_text(6, letters)) : plan.host_name;
	netlink.add_veth(veth);
	return {plan.index, plan.type, inside, veth.host_name, veth.hwaddr, plan.link};
}

} // namespace

std::vector<InterfaceState> make_links(const Spec &spec, int netns_fd) {
	std::vector<InterfaceState> made;
	std::optional<Netlink> netlink;
	auto names = inside_names(spec.network);
	for (std::size_t i = 0; i < spec.network.size(); i++) {
		const auto &plan = spec.network[i];
		if (plan.type != "veth") {
			made.push_back({plan.index, plan.type, "", "", "", ""});
			continue;
		}
		if (!netlink) {
			netlink.emplace();
		}
		made.push_back(make_veth(*netlink, spec, plan, names[i], netns_fd));
		run_scripts(spec, plan, made.back(), true);
	}
	return made;
}

void run_down_scripts(const Spec &spec, const std::vector<InterfaceState> &made) {
	for (const auto &plan : spec.network) {
		auto link = std::ranges::find(made, plan.index, &InterfaceState::index);
		if (link == made.end() || plan.scripts_down.empty()) {
			continue;
		}
		try {
			run_scripts(spec, plan, *link, false);
		} catch (const SysError &error) {
			log::warn("network", error.what());
		}
	}
}

std::vector<InterfaceGateway> resolve_gateways(const InterfacePlan &plan) {
	auto gateways = plan.gateways;
	for (auto &gateway : gateways) {
		if (gateway.address != "auto") {
			continue;
		}
		Netlink netlink;
		auto link = plan.link.empty() ? std::nullopt : netlink.find_link(plan.link);
		auto addresses = link ? netlink.addresses() : std::vector<AddressInfo>{};
		auto own = std::ranges::find_if(addresses, [&](const AddressInfo &address) {
			return address.link_index == link->index && address.family == gateway.family && address.scope == RT_SCOPE_UNIVERSE;
		});
		if (own == addresses.end()) {
			throw_error("host",
						cat("cannot find the gateway of net[", plan.index, "]: ", plan.link.empty() ? "it has no link" : plan.link,
							plan.link.empty() ? "" : cat(" has no IPv", gateway.family, " address")),
						cat("run 'tslxc network up', or set net[", plan.index, "].ipv", gateway.family, ".gateway to an address"));
		}
		gateway.address = own->address;
	}
	return gateways;
}

namespace {

void add_gateway(Netlink &netlink, int index, const InterfaceGateway &gateway) {
	if (gateway.address == "dev") {
		netlink.add_default_route(index, gateway.family, "");
		return;
	}
	try {
		netlink.add_default_route(index, gateway.family, gateway.address);
	} catch (const SysError &error) {
		int number = error.info().error_number;
		if (number != ENETUNREACH && number != EHOSTUNREACH) {
			throw;
		}
		// A gateway outside of the interface's own networks: say where it is first.
		netlink.add_host_route(index, gateway.family, gateway.address);
		netlink.add_default_route(index, gateway.family, gateway.address);
	}
}

} // namespace

void configure_links(const std::vector<InterfacePlan> &plans, const std::vector<InterfaceState> &made) {
	Netlink netlink;
	// The loopback link is the first of a network namespace, always with index 1.
	netlink.set_up(1, true);
	for (const auto &plan : plans) {
		auto state = std::ranges::find(made, plan.index, &InterfaceState::index);
		if (plan.type != "veth" || state == made.end()) {
			continue;
		}
		auto link = netlink.find_link(state->name);
		if (!link) {
			throw_error("internal", cat("cannot find interface '", state->name, "' in the container"));
		}
		for (const auto &address : plan.addresses) {
			netlink.add_address(link->index, address.family, address.address, address.prefix, address.broadcast);
		}
		if (!plan.up) {
			continue;
		}
		netlink.set_up(link->index, true);
		for (const auto &gateway : plan.gateways) {
			add_gateway(netlink, link->index, gateway);
		}
	}
}

NetworkView view_network(int pidfd) {
	Fd own = open_or_throw("/proc/thread-self/ns/net", O_RDONLY);
	if (::setns(pidfd, CLONE_NEWNET) != 0) {
		throw_errno("network", "cannot look into the container's network namespace");
	}
	std::optional<Netlink> netlink;
	int error = 0;
	try {
		netlink.emplace();
	} catch (const SysError &failure) {
		error = failure.info().error_number;
	}
	// A netlink socket stays in the namespace it was made in, so the caller is back before anything is asked.
	if (::setns(own.get(), CLONE_NEWNET) != 0) {
		std::terminate();
	}
	if (!netlink) {
		throw_errno("network", "cannot look into the container's network namespace", error);
	}
	NetworkView view;
	auto links = netlink->links();
	for (const auto &link : links) {
		view.interfaces.push_back(link.name);
	}
	std::ranges::sort(view.interfaces);
	for (const auto &address : netlink->addresses()) {
		auto link = std::ranges::find(links, address.link_index, &LinkInfo::index);
		if (link == links.end() || link->name == "lo" || address.scope != RT_SCOPE_UNIVERSE) {
			continue;
		}
		(address.family == 6 ? view.ipv6 : view.ipv4).emplace_back(link->name, address.address);
	}
	return view;
}

} // namespace tslxc
