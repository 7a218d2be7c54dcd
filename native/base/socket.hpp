// SOCK_SEQPACKET and SCM_RIGHTS. Used by the sync socket, the start pipe and the monitor's socket.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fd.hpp"

namespace tslxc {

inline constexpr std::size_t max_packet_bytes = 64 * 1024;

struct Packet {
	std::string text;
	std::vector<Fd> fds; // received with MSG_CMSG_CLOEXEC
};

std::pair<Fd, Fd> packet_pair();
void send_packet(int socket, std::string_view text, const std::vector<int> &fds = {});
/** Nothing at end of file. timeout_ms < 0: for ever; throws SysError ETIMEDOUT. */
std::optional<Packet> receive_packet(int socket, int timeout_ms = -1);
/** Bound or connected through /proc/self/fd/<dir>/NAME, since sun_path holds 108 bytes only. unix(7) */
Fd listen_in(int dir_fd, const std::string &name);
Fd connect_in(int dir_fd, const std::string &name);
struct Peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
Peer peer_of(int socket);

} // namespace tslxc
