// Addresses of links and of the internet protocol as netlink takes them.
#pragma once

#include <sys/socket.h>

#include <array>
#include <string>

namespace tslxc {

using HardwareAddress = std::array<unsigned char, 6>;

std::string hardware_address_text(const unsigned char *bytes);
/** Throws SysError "config". */
HardwareAddress parse_hardware_address(const std::string &text);
/** A random one for the host's end of a veth pair: a bridge takes the lowest address of its ports, with fe: it keeps the one it has. */
HardwareAddress bridge_port_address();

struct Ip {
	std::array<unsigned char, 16> bytes{};
	std::size_t size = 4;
	unsigned char family = AF_INET;
};

/** family 4 or 6; throws SysError "config". */
Ip parse_ip(int family, const std::string &text);

} // namespace tslxc
