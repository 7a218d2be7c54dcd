// The conversation between the monitor and the process that becomes the container's init, over a SOCK_SEQPACKET pair.
//
//   monitor                                              init
//     clone3, id maps
//     detached mounts built   ── mounts + fds ────────▶  enters its cgroups and their namespace, then waits:
//                                (more packets follow     its ids are mapped. setresuid 0, private mounts,
//                                 until "last")           pre-mount hooks, rootfs, /dev, mounts
//     links made              ── links ───────────────▶  configured after pivot_root
//                             ◀── terminals + fds ─────  masters: /dev/console first when there is one, then the ttys
//                             ◀── ready ───────────────  all is set up but limits, capabilities, filter, exec
//     start-host hooks        ── exec ────────────────▶  start hooks; the last steps
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

/** Position in spec.mounts → the detached mount; an empty one was optional and could not be built. */
using DetachedMounts = std::vector<std::pair<int, Fd>>;

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
	void send_mounts(const DetachedMounts &mounts);
	void send_links(const Links &links);
	void send_exec();
	/** The masters, in init's order. */
	std::vector<Fd> receive_terminals();
	void receive_ready();
	/** Returns when init's program runs. */
	void wait_for_exec();

private:
	void send(const std::string &text, const std::vector<int> &fds = {});
	Fd socket_;
};

/** Init's end. Throws SysError "native" when the monitor is gone. */
class MonitorPeer {
public:
	explicit MonitorPeer(Fd socket) : socket_(std::move(socket)) {}
	DetachedMounts receive_mounts();
	Links receive_links();
	void send_terminals(const std::vector<int> &masters);
	void send_ready();
	void wait_for_exec();
	/** Never throws: there is nobody left to tell. */
	void send_error(const ErrorInfo &error) noexcept;

private:
	Fd socket_;
};

} // namespace tslxc
