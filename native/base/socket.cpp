#include "socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "error.hpp"
#include "text.hpp"

namespace tslxc {

namespace {
constexpr std::size_t max_packet_fds = 32;

/** Keeps every descriptor that came with a message, so that a refused message leaks none. */
std::vector<Fd> take_fds(msghdr &message) {
	std::vector<Fd> fds;
	for (cmsghdr *part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (std::size_t i = 0; i < count; i++) {
			int fd;
			std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
			fds.emplace_back(fd);
		}
	}
	return fds;
}

Fd packet_socket(int extra_flags) {
	Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | extra_flags, 0));
	if (!fd) {
		throw_errno("socket", "cannot make a socket");
	}
	return fd;
}

sockaddr_un address_in(int dir_fd, const std::string &name) {
	sockaddr_un address{};
	address.sun_family = AF_UNIX;
	const std::string path = cat("/proc/self/fd/", dir_fd, "/", name);
	if (path.size() >= sizeof(address.sun_path)) {
		throw_errno("socket", cat("cannot use socket ", name), ENAMETOOLONG);
	}
	std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
	return address;
}
} // namespace

std::pair<Fd, Fd> packet_pair() {
	int ends[2];
	if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		throw_errno("socket", "cannot make a socket pair");
	}
	return {Fd(ends[0]), Fd(ends[1])};
}

void send_packet(int socket, std::string_view text, const std::vector<int> &fds) {
	if (text.empty() || text.size() > max_packet_bytes || fds.size() > max_packet_fds) {
		throw_errno("send", "cannot send a packet", EMSGSIZE);
	}
	iovec part{const_cast<char *>(text.data()), text.size()};
	msghdr message{};
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	alignas(cmsghdr) std::array<char, CMSG_SPACE(max_packet_fds * sizeof(int))> control{};
	if (!fds.empty()) {
		message.msg_control = control.data();
		message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
		cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
		std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
	}
	if (TEMP_FAILURE_RETRY(::sendmsg(socket, &message, MSG_NOSIGNAL)) < 0) {
		throw_errno("send", "cannot send a packet");
	}
}

std::optional<Packet> receive_packet(int socket, int timeout_ms) {
	if (timeout_ms >= 0) {
		pollfd watched{socket, POLLIN, 0};
		const int ready = TEMP_FAILURE_RETRY(::poll(&watched, 1, timeout_ms));
		if (ready <= 0) {
			throw_errno("receive", "cannot receive a packet", ready == 0 ? ETIMEDOUT : errno);
		}
	}
	Packet packet;
	// Asked for its size first: the monitor must not touch 64 KiB for a request of 30 bytes. After a reset comes what was still queued.
	ssize_t size;
	do {
		size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size < 0) {
		throw_errno("receive", "cannot receive a packet");
	}
	packet.text.resize(std::min(static_cast<std::size_t>(size), max_packet_bytes));
	iovec part{packet.text.data(), packet.text.size()};
	alignas(cmsghdr) std::array<char, CMSG_SPACE(max_packet_fds * sizeof(int))> control;
	msghdr message{};
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control.data();
	message.msg_controllen = control.size();
	const ssize_t count = TEMP_FAILURE_RETRY(::recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
	// A peer that was killed with unread data in its queue reads as a reset, which says no more than an end of file.
	if (count < 0 && errno != ECONNRESET) {
		throw_errno("receive", "cannot receive a packet");
	}
	if (count <= 0) {
		return std::nullopt;
	}
	packet.fds = take_fds(message);
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		throw_errno("receive", "cannot receive a packet", EMSGSIZE);
	}
	packet.text.resize(static_cast<std::size_t>(count));
	return packet;
}

Fd listen_in(int dir_fd, const std::string &name) {
	Fd fd = packet_socket(SOCK_NONBLOCK);
	const sockaddr_un address = address_in(dir_fd, name);
	// Left over from a monitor that was killed; whoever listens here holds the monitor's lock.
	if (::unlinkat(dir_fd, name.c_str(), 0) < 0 && errno != ENOENT) {
		throw_errno("socket", cat("cannot remove old socket ", name));
	}
	if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) < 0) {
		throw_errno("socket", cat("cannot bind socket ", name));
	}
	if (::listen(fd.get(), 128) < 0) {
		throw_errno("socket", cat("cannot listen on socket ", name));
	}
	return fd;
}

Fd connect_in(int dir_fd, const std::string &name) {
	Fd fd = packet_socket(0);
	const sockaddr_un address = address_in(dir_fd, name);
	// Bounds connect(2) too, which waits while the listener's queue is full: it then gives EAGAIN. unix(7)
	const timeval patience{5, 0};
	::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (TEMP_FAILURE_RETRY(::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address))) < 0) {
		throw_errno("socket", cat("cannot connect to ", name));
	}
	return fd;
}

Peer peer_of(int socket) {
	ucred credentials{};
	socklen_t length = sizeof(credentials);
	if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
		throw_errno("socket", "cannot ask for the peer of a socket");
	}
	return {credentials.pid, credentials.uid, credentials.gid};
}

} // namespace tslxc
