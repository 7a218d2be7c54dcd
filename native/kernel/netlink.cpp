#include "netlink.hpp"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cstring>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "link_address.hpp"

namespace tslxc {

/** A request under construction: header, family header, nested attributes. netlink(7), rtnetlink(7) */
struct Netlink::Message {
	alignas(NLMSG_ALIGNTO) std::array<char, 1024> buffer{};

	Message(int type, int flags) {
		header()->nlmsg_len = NLMSG_HDRLEN;
		header()->nlmsg_type = static_cast<__u16>(type);
		header()->nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | NLM_F_ACK | flags);
	}
	nlmsghdr *header() { return reinterpret_cast<nlmsghdr *>(buffer.data()); }
	void *append(const void *data, std::size_t size) {
		auto at = NLMSG_ALIGN(header()->nlmsg_len);
		if (at + size > buffer.size()) {
			throw_error("internal", "cannot build a netlink message: it is too long");
		}
		if (data != nullptr && size > 0) {
			std::memcpy(buffer.data() + at, data, size);
		}
		header()->nlmsg_len = static_cast<__u32>(at + size);
		return buffer.data() + at;
	}
	template <typename T> T *body() { return static_cast<T *>(append(nullptr, sizeof(T))); }
	void attribute(int type, const void *data, std::size_t size) {
		rtattr head{static_cast<unsigned short>(RTA_LENGTH(size)), static_cast<unsigned short>(type)};
		append(&head, sizeof head);
		append(data, size);
	}
	void text(int type, const std::string &value) { attribute(type, value.c_str(), value.size() + 1); }
	void number(int type, std::uint32_t value) { attribute(type, &value, sizeof value); }
	std::size_t begin(int type) {
		auto at = NLMSG_ALIGN(header()->nlmsg_len);
		attribute(type, nullptr, 0);
		return at;
	}
	void end(std::size_t at) {
		reinterpret_cast<rtattr *>(buffer.data() + at)->rta_len = static_cast<unsigned short>(header()->nlmsg_len - at);
	}
};

namespace {

using Attributes = std::array<const rtattr *, 64>;

Attributes parse_attributes(const rtattr *first, long size) {
	Attributes out{};
	for (const rtattr *one = first; RTA_OK(one, size); one = RTA_NEXT(one, size)) {
		auto type = static_cast<unsigned>(one->rta_type) & NLA_TYPE_MASK;
		if (type < out.size()) {
			out[type] = one;
		}
	}
	return out;
}

std::string text_of(const rtattr *attribute) {
	return attribute == nullptr ? "" : std::string(static_cast<const char *>(RTA_DATA(attribute)));
}

std::string hardware_address_of(const rtattr *attribute) {
	bool ethernet = attribute != nullptr && RTA_PAYLOAD(attribute) == HardwareAddress().size();
	return ethernet ? hardware_address_text(static_cast<const unsigned char *>(RTA_DATA(attribute))) : "";
}

LinkInfo read_link(const nlmsghdr *header) {
	const auto *info = static_cast<const ifinfomsg *>(NLMSG_DATA(header));
	auto attributes = parse_attributes(IFLA_RTA(info), static_cast<long>(IFLA_PAYLOAD(header)));
	LinkInfo link;
	link.index = info->ifi_index;
	link.up = (info->ifi_flags & IFF_UP) != 0;
	link.name = text_of(attributes[IFLA_IFNAME]);
	link.hwaddr = hardware_address_of(attributes[IFLA_ADDRESS]);
	if (attributes[IFLA_MTU] != nullptr) {
		std::memcpy(&link.mtu, RTA_DATA(attributes[IFLA_MTU]), sizeof link.mtu);
	}
	if (attributes[IFLA_MASTER] != nullptr) {
		std::memcpy(&link.master, RTA_DATA(attributes[IFLA_MASTER]), sizeof link.master);
	}
	if (attributes[IFLA_LINKINFO] != nullptr) {
		auto nested = parse_attributes(static_cast<const rtattr *>(RTA_DATA(attributes[IFLA_LINKINFO])),
									   static_cast<long>(RTA_PAYLOAD(attributes[IFLA_LINKINFO])));
		link.kind = text_of(nested[IFLA_INFO_KIND]);
	}
	if (attributes[IFLA_STATS64] != nullptr) {
		rtnl_link_stats64 stats{};
		std::memcpy(&stats, RTA_DATA(attributes[IFLA_STATS64]), std::min<std::size_t>(sizeof stats, RTA_PAYLOAD(attributes[IFLA_STATS64])));
		link.rx_bytes = stats.rx_bytes;
		link.tx_bytes = stats.tx_bytes;
	}
	return link;
}

/** The error of an acknowledgement, 0 for none; the kernel's own words behind it. */
int read_error(const nlmsghdr *header, std::string &words) {
	const auto *error = static_cast<const nlmsgerr *>(NLMSG_DATA(header));
	if (error->error == 0) {
		return 0;
	}
	if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
		auto offset = sizeof(nlmsgerr) + ((header->nlmsg_flags & NLM_F_CAPPED) != 0 ? 0 : error->msg.nlmsg_len - sizeof(nlmsghdr));
		const auto *first = reinterpret_cast<const rtattr *>(reinterpret_cast<const char *>(error) + NLMSG_ALIGN(offset));
		auto attributes = parse_attributes(first, static_cast<long>(header->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(offset)));
		words = text_of(attributes[NLMSGERR_ATTR_MSG]);
	}
	return -error->error;
}

constexpr std::size_t receive_bytes = 64 * 1024;

} // namespace

Netlink::Netlink() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
	if (!socket_) {
		throw_errno("network", "cannot open a netlink socket");
	}
	int on = 1;
	::setsockopt(socket_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	::setsockopt(socket_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
}

/** Sends and calls `each` for every message of the answer until `each` has seen the last. */
template <typename F> void receive_answer(int socket, std::uint32_t sequence, F each) {
	std::string buffer(receive_bytes, '\0');
	for (;;) {
		auto size = ::recv(socket, buffer.data(), buffer.size(), 0);
		if (size < 0 && errno == EINTR) {
			continue;
		}
		if (size < 0) {
			throw_errno("network", "cannot read from netlink");
		}
		auto left = static_cast<unsigned>(size);
		for (auto *header = reinterpret_cast<nlmsghdr *>(buffer.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_seq == sequence && each(header)) {
				return;
			}
		}
	}
}

void Netlink::request(Message &message, const std::string &what) {
	message.header()->nlmsg_seq = ++sequence_;
	if (::send(socket_.get(), message.buffer.data(), message.header()->nlmsg_len, 0) < 0) {
		throw_errno("network", what);
	}
	std::string words;
	int error = 0;
	receive_answer(socket_.get(), sequence_, [&](const nlmsghdr *header) {
		if (header->nlmsg_type == NLMSG_ERROR) {
			error = read_error(header, words);
			return true;
		}
		return false;
	});
	if (error != 0) {
		throw_errno("network", words.empty() ? what : cat(what, " (", words, ")"), error);
	}
}

template <typename F> void Netlink::dump(int type, int family, F each) {
	Message message(type, NLM_F_DUMP);
	message.body<ifinfomsg>()->ifi_family = static_cast<unsigned char>(family);
	message.header()->nlmsg_seq = ++sequence_;
	if (::send(socket_.get(), message.buffer.data(), message.header()->nlmsg_len, 0) < 0) {
		throw_errno("network", "cannot list by netlink");
	}
	receive_answer(socket_.get(), sequence_, [&](const nlmsghdr *header) {
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
			return true;
		}
		each(header);
		return false;
	});
}

std::optional<LinkInfo> Netlink::find_link(const std::string &name) {
	Message message(RTM_GETLINK, 0);
	message.body<ifinfomsg>();
	message.text(IFLA_IFNAME, name);
	message.header()->nlmsg_seq = ++sequence_;
	if (name.size() >= IFNAMSIZ || ::send(socket_.get(), message.buffer.data(), message.header()->nlmsg_len, 0) < 0) {
		return {};
	}
	std::optional<LinkInfo> found;
	receive_answer(socket_.get(), sequence_, [&](const nlmsghdr *header) {
		if (header->nlmsg_type == RTM_NEWLINK) {
			found = read_link(header);
		}
		return header->nlmsg_type == NLMSG_ERROR; // the acknowledgement comes last, ENODEV included
	});
	return found;
}

std::vector<LinkInfo> Netlink::links() {
	std::vector<LinkInfo> out;
	dump(RTM_GETLINK, AF_UNSPEC, [&](const nlmsghdr *header) { out.push_back(read_link(header)); });
	return out;
}

std::vector<AddressInfo> Netlink::addresses() {
	std::vector<AddressInfo> out;
	dump(RTM_GETADDR, AF_UNSPEC, [&](const nlmsghdr *header) {
		const auto *info = static_cast<const ifaddrmsg *>(NLMSG_DATA(header));
		auto attributes = parse_attributes(IFA_RTA(info), static_cast<long>(IFA_PAYLOAD(header)));
		// IFA_LOCAL is the interface's own; IFA_ADDRESS the peer's on point-to-point links, and all there is for IPv6.
		const auto *address = attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
		std::array<char, INET6_ADDRSTRLEN> text{};
		if (address != nullptr && ::inet_ntop(info->ifa_family, RTA_DATA(address), text.data(), text.size()) != nullptr) {
			out.push_back({static_cast<int>(info->ifa_index), info->ifa_family == AF_INET6 ? 6 : 4, text.data(), info->ifa_prefixlen,
						   info->ifa_scope});
		}
	});
	return out;
}

void Netlink::add_veth(const Veth &veth) {
	Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	auto *info = message.body<ifinfomsg>();
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	auto address = veth.host_hwaddr.empty() ? bridge_port_address() : parse_hardware_address(veth.host_hwaddr);
	message.text(IFLA_IFNAME, veth.host_name);
	message.attribute(IFLA_ADDRESS, address.data(), address.size());
	if (veth.mtu) {
		message.number(IFLA_MTU, *veth.mtu);
	}
	if (veth.master_index != 0) {
		message.number(IFLA_MASTER, static_cast<std::uint32_t>(veth.master_index));
	}
	auto link_info = message.begin(IFLA_LINKINFO);
	message.text(IFLA_INFO_KIND, "veth");
	auto data = message.begin(IFLA_INFO_DATA);
	auto peer = message.begin(VETH_INFO_PEER);
	message.body<ifinfomsg>();
	message.text(IFLA_IFNAME, veth.peer_name);
	if (!veth.hwaddr.empty()) {
		auto inside = parse_hardware_address(veth.hwaddr);
		message.attribute(IFLA_ADDRESS, inside.data(), inside.size());
	}
	if (veth.mtu) {
		message.number(IFLA_MTU, *veth.mtu);
	}
	if (veth.peer_netns_fd >= 0) {
		message.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(veth.peer_netns_fd));
	}
	message.end(peer);
	message.end(data);
	message.end(link_info);
	// The pair of the container's last life goes with its network namespace, a little after its last process.
	for (int attempt = 0;; attempt++) {
		try {
			request(message, cat("cannot make veth ", veth.host_name));
			return;
		} catch (const SysError &error) {
			if (error.info().error_number != EEXIST || attempt == 50) {
				throw;
			}
		}
		timespec pause{0, 2'000'000};
		::nanosleep(&pause, nullptr);
	}
}

void Netlink::set_up(int index, bool up) {
	Message message(RTM_NEWLINK, 0);
	auto *info = message.body<ifinfomsg>();
	info->ifi_index = index;
	info->ifi_flags = up ? IFF_UP : 0;
	info->ifi_change = IFF_UP;
	request(message, cat("cannot set link ", index, up ? " up" : " down"));
}

void Netlink::rename(int index, const std::string &name) {
	Message message(RTM_NEWLINK, 0);
	message.body<ifinfomsg>()->ifi_index = index;
	message.text(IFLA_IFNAME, name);
	request(message, cat("cannot name link ", index, " '", name, "'"));
}

void Netlink::add_address(int index, int family, const std::string &address, int prefix, const std::string &broadcast) {
	auto ip = parse_ip(family, address);
	Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	auto *info = message.body<ifaddrmsg>();
	info->ifa_family = ip.family;
	info->ifa_prefixlen = static_cast<unsigned char>(prefix);
	info->ifa_index = static_cast<unsigned>(index);
	message.attribute(IFA_LOCAL, ip.bytes.data(), ip.size);
	message.attribute(IFA_ADDRESS, ip.bytes.data(), ip.size);
	if (!broadcast.empty()) {
		message.attribute(IFA_BROADCAST, parse_ip(family, broadcast).bytes.data(), ip.size);
	} else if (family == 4 && prefix < 31) {
		std::uint32_t value = 0;
		std::memcpy(&value, ip.bytes.data(), sizeof value);
		value |= htonl(prefix == 0 ? 0xffffffffU : (1U << (32 - prefix)) - 1);
		message.attribute(IFA_BROADCAST, &value, sizeof value);
	}
	request(message, cat("cannot add address ", address, "/", prefix));
}

namespace {

template <typename Request> void fill_route(Request &message, unsigned char family, int index, int destination_bits, bool on_link) {
	auto *route = message.template body<rtmsg>();
	route->rtm_family = family;
	route->rtm_dst_len = static_cast<unsigned char>(destination_bits);
	route->rtm_table = RT_TABLE_MAIN;
	// As a guest's own network daemon says of a configured route: its route and ours are then one.
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	route->rtm_type = RTN_UNICAST;
	message.number(RTA_OIF, static_cast<std::uint32_t>(index));
}

} // namespace

void Netlink::add_default_route(int index, int family, const std::string &gateway) {
	Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	fill_route(message, family == 6 ? AF_INET6 : AF_INET, index, 0, gateway.empty());
	if (!gateway.empty()) {
		auto ip = parse_ip(family, gateway);
		message.attribute(RTA_GATEWAY, ip.bytes.data(), ip.size);
	}
	request(message, cat("cannot add the default route", gateway.empty() ? "" : " by ", gateway));
}

void Netlink::add_host_route(int index, int family, const std::string &address) {
	auto ip = parse_ip(family, address);
	Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	fill_route(message, ip.family, index, static_cast<int>(ip.size * 8), true);
	message.attribute(RTA_DST, ip.bytes.data(), ip.size);
	request(message, cat("cannot add a route to ", address));
}

void Netlink::delete_link(int index) {
	Message message(RTM_DELLINK, 0);
	message.body<ifinfomsg>()->ifi_index = index;
	request(message, cat("cannot delete link ", index));
}

} // namespace tslxc
