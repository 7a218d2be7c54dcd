// The conversation between the monitor and the process that becomes the container's init, over a SOCK_SEQPACKET pair.
//
//   monitor                                              init
//     clone3, id maps
//     detached mounts built   ── mounts + fds ────────▶  enters its cgroups and their namespace, then waits:
//                                (more packets follow     its ids are mapped. setresuid 0, private mounts,
//                                 until "last")           pre-mount hooks, rootfs, /dev, mounts
//                             ◀── staged ──────────────  only with locked mounts: locked_mounts.hpp
//                             ── locked ──────────────▶
//     links made              ── links ───────────────▶  configured after pivot_root
//                             ◀── terminals + fds ─────  masters: /dev/console first when there is one, then the ttys
//                             ◀── ready ───────────────  all is set up but limits, capabilities, filter, exec
//     start-host hooks        ── exec ────────────────▶  start hooks; the last steps (sent right behind links when there is
//                                                        nothing to do in between)
//                             ◀── (end of file) ───────  exec closed the socket: it runs
//   at any time               ◀── error ───────────────  the step, the object, errno and hint; then init exits
//
// One JSON object a packet: {"m": NAME, …}.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../spec/spec.hpp"
#include "../spec/state.hpp"

namespace tslxc {

struct BuiltMount {
	int index; // position in spec.mounts
	Fd fd;	   // empty: it was optional and could not be built; at init's end also: it comes through the staging
	bool locked = false;
};
using DetachedMounts = std::vector<BuiltMount>;

struct MountsPacket {
	DetachedMounts mounts;
	Fd staging; // of locked mounts (locked_mounts.hpp); empty: there are none
};

/** Position in spec.network → its gateways with `auto` resolved. */
using Gateways = std::vector<std::vector<InterfaceGateway>>;

struct Links {
	std::vector<InterfaceState> made;
	Gateways gateways;
};

/** The monitor's end. Every function throws what init reported when init has failed meanwhile. */
class InitPeer {
public:
	explicit InitPeer(Fd socket) : socket_(std::move(socket)) {}
	/** staging_fd < 0: no mount is locked. */
	void send_mounts(const DetachedMounts &mounts, int staging_fd);
	void receive_staged();
	void send_locked();
	void send_links(const Links &links);
	void send_exec();
	/** The masters, in init's order. */
	std::vector<Fd> receive_terminals();
	void receive_ready();
	/** Returns when init's program runs. */
	void wait_for_exec();
	/** For when init is known to have ended: what it reported. */
	[[noreturn]] void throw_last_words();

private:
	void send(const std::string &text, const std::vector<int> &fds = {});
	Fd socket_;
};

/** Init's end. Throws SysError "native" when the monitor is gone. */
class MonitorPeer {
public:
	explicit MonitorPeer(Fd socket) : socket_(std::move(socket)) {}
	MountsPacket receive_mounts();
	void send_staged();
	void wait_for_locked();
	Links receive_links();
	void send_terminals(const std::vector<int> &masters);
	void send_ready();
	void wait_for_exec();
	int descriptor() const { return socket_.get(); }
	/** Never throws: there is nobody left to tell. */
	void send_error(const ErrorInfo &error) noexcept;

private:
	Fd socket_;
};

} // namespace tslxc
