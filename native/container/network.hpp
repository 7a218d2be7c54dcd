// The links of a container. Outside half (monitor): veth pairs, bridge ports, scripts. Inside half (init): addresses, routes.
#pragma once

#include <string>
#include <vector>

#include "../spec/spec.hpp"
#include "../spec/state.hpp"

namespace tslxc {

/** Runs in the monitor, in the host's network namespace: makes each veth with its peer directly in netns_fd. Fills host names.
 *  Throws SysError with the bridge's name and the remedy; what it made is gone when the namespace goes. */
std::vector<InterfaceState> make_links(const Spec &spec, int netns_fd);
/** script.down of every link, in the monitor after the container has stopped. A failing script is only logged. */
void run_down_scripts(const Spec &spec, const std::vector<InterfaceState> &made);
/** `auto` gateways resolved to the bridge's own address, by the monitor. Index of InterfacePlan → addresses. */
std::vector<InterfaceGateway> resolve_gateways(const InterfacePlan &plan);
/** Runs inside the container's network namespace: lo up, names, hardware addresses, addresses, routes, up. */
void configure_links(const std::vector<InterfacePlan> &plans, const std::vector<InterfaceState> &made);

/** What `ls` and `info` show: addresses inside another process's network namespace, lo and link-local left out. Changes the
 *  caller's namespace for the moment of opening a socket: single-threaded programs only. */
struct NetworkView {
	std::vector<std::string> interfaces;						 // sorted, lo among them
	std::vector<std::pair<std::string, std::string>> ipv4, ipv6; // interface, address
};
NetworkView view_network(int pidfd);

} // namespace tslxc
