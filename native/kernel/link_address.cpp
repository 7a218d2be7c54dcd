#include "link_address.hpp"

#include <arpa/inet.h>

#include <cstdint>
#include <cstdio>
#include <random>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

std::string hardware_address_text(const unsigned char *bytes) {
	std::array<char, 18> out{};
	std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
	return out.data();
}

HardwareAddress parse_hardware_address(const std::string &text) {
	std::array<unsigned, 6> parts{};
	int end = 0;
	if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &parts[0], &parts[1], &parts[2], &parts[3], &parts[4], &parts[5], &end) !=
			6 ||
		static_cast<std::size_t>(end) != text.size()) {
		throw_error("config", cat("cannot use '", text, "' as a hardware address"));
	}
	HardwareAddress out{};
	for (std::size_t i = 0; i < out.size(); i++) {
		out[i] = static_cast<unsigned char>(parts[i]);
	}
	return out;
}

HardwareAddress bridge_port_address() {
	std::random_device random;
	auto bits = (static_cast<std::uint64_t>(random()) << 32) | random();
	HardwareAddress out{0xfe};
	for (std::size_t i = 1; i < out.size(); i++) {
		out[i] = static_cast<unsigned char>(bits >> (8 * i));
	}
	return out;
}

Ip parse_ip(int family, const std::string &text) {
	Ip ip;
	ip.family = family == 6 ? AF_INET6 : AF_INET;
	ip.size = family == 6 ? 16 : 4;
	if (::inet_pton(ip.family, text.c_str(), ip.bytes.data()) != 1) {
		throw_error("config", cat("cannot use '", text, "' as an IPv", family, " address"));
	}
	return ip;
}

} // namespace tslxc
