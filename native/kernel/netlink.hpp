// rtnetlink for what a container's links need. Reads by netlink too, never from /sys/class/net.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../base/fd.hpp"

namespace tslxc {

struct LinkInfo {
	int index = 0;
	std::string name, kind, hwaddr;
	unsigned mtu = 0;
	bool up = false;
	int master = 0;
	std::uint64_t rx_bytes = 0, tx_bytes = 0;
};

struct AddressInfo {
	int link_index = 0;
	int family = 4;
	std::string address;
	int prefix = 0;
	std::uint8_t scope = 0;
};

/** A NETLINK_ROUTE socket in the network namespace of the caller at the time it was made. */
class Netlink {
public:
	Netlink();
	std::optional<LinkInfo> find_link(const std::string &name);
	std::vector<LinkInfo> links();
	std::vector<AddressInfo> addresses();

	struct Veth {
		std::string host_name, peer_name;
		std::string hwaddr;		 // of the peer (inside); empty: the kernel's
		std::string host_hwaddr; // empty: a fe:… address so that a bridge keeps its own
		std::optional<unsigned> mtu;
		int master_index = 0; // 0: none
		int peer_netns_fd = -1;
	};
	/** Pair, peer moved, master and up in one message. EEXIST of a fixed name is retried for 100 ms. */
	void add_veth(const Veth &veth);
	void set_up(int index, bool up);
	void rename(int index, const std::string &name);
	void add_address(int index, int family, const std::string &address, int prefix, const std::string &broadcast);
	/** gateway empty: a device route. */
	void add_default_route(int index, int family, const std::string &gateway);
	void add_host_route(int index, int family, const std::string &address);
	void delete_link(int index);

private:
	Fd socket_;
	std::uint32_t sequence_ = 0;
	struct Message;
	void request(Message &message, const std::string &what);
	template <typename F> void dump(int type, int family, F each);
};

} // namespace tslxc
