#include "sync.hpp"

#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

#include "../base/socket.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

using Json = nlohmann::json;

constexpr std::size_t mounts_per_packet = 24, terminals_per_packet = 30;

struct Message {
	Json body;
	std::vector<Fd> fds;
};

std::optional<Message> receive(int socket) {
	auto packet = receive_packet(socket);
	if (!packet) {
		return std::nullopt;
	}
	return Message{Json::parse(packet->text), std::move(packet->fds)};
}

[[noreturn]] void throw_reported(const Json &body) {
	ErrorInfo info;
	info.code = body.value("code", "native");
	info.message = body.value("message", "");
	info.hint = body.value("hint", "");
	info.step = body.value("step", "");
	info.error_number = body.value("errno", 0);
	throw SysError(info);
}

[[noreturn]] void throw_last_words(int socket) {
	while (const auto message = receive(socket)) {
		if (message->body.value("m", "") == "error") {
			throw_reported(message->body);
		}
	}
	throw_error("native", "cannot start init: it died before it could say why", "look at the last lines of the kernel's log: dmesg");
}

/** What the monitor reads next must be this message; an error is thrown as what it says. */
Message expect(int socket, const char *name) {
	auto message = receive(socket);
	if (!message) {
		throw_last_words(socket);
	}
	const std::string got = message->body.value("m", "");
	if (got == "error") {
		throw_reported(message->body);
	}
	if (got != name) {
		throw_error("native", cat("cannot start init: it said '", got, "' instead of '", name, "'"));
	}
	return std::move(*message);
}

/** What init reads next. A monitor that is gone ends init. */
Message expect_from_monitor(int socket, const char *name) {
	auto message = receive(socket);
	if (!message || message->body.value("m", "") != name) {
		throw_error("native", "cannot go on: the monitor is gone");
	}
	return std::move(*message);
}

Json gateway_to_json(const InterfaceGateway &gateway) {
	return Json{{"family", gateway.family}, {"address", gateway.address}};
}

Json interface_to_json(const InterfaceState &state) {
	return Json{{"index", state.index},		   {"type", state.type},	 {"name", state.name},
				{"hostName", state.host_name}, {"hwaddr", state.hwaddr}, {"link", state.link}};
}

InterfaceState interface_from_json(const Json &json) {
	InterfaceState state;
	state.index = json.at("index");
	state.type = json.at("type");
	state.name = json.at("name");
	state.host_name = json.at("hostName");
	state.hwaddr = json.at("hwaddr");
	state.link = json.at("link");
	return state;
}

} // namespace

void InitPeer::send(const std::string &text, const std::vector<int> &fds) {
	try {
		send_packet(socket_.get(), text, fds);
	} catch (const SysError &error) {
		if (error.info().error_number == EPIPE || error.info().error_number == ECONNRESET) {
			throw_last_words();
		}
		throw;
	}
}

void InitPeer::send_mounts(const DetachedMounts &mounts, int staging_fd) {
	std::size_t done = 0;
	do {
		const std::size_t end = std::min(done + mounts_per_packet, mounts.size());
		Json entries = Json::array();
		std::vector<int> fds;
		for (; done < end; ++done) {
			const BuiltMount &mount = mounts[done];
			const bool sent = mount.fd && !mount.locked;
			entries.push_back({{"index", mount.index}, {"sent", sent}, {"locked", mount.fd && mount.locked}});
			if (sent) {
				fds.push_back(mount.fd.get());
			}
		}
		const bool last = done == mounts.size();
		const bool staging = last && staging_fd >= 0;
		if (staging) {
			fds.push_back(staging_fd);
		}
		send(Json{{"m", "mounts"}, {"entries", entries}, {"last", last}, {"staging", staging}}.dump(), fds);
	} while (done < mounts.size());
}

void InitPeer::receive_staged() {
	expect(socket_.get(), "staged");
}

void InitPeer::send_locked() {
	send(R"({"m":"locked"})");
}

void InitPeer::send_links(const Links &links) {
	Json made = Json::array(), gateways = Json::array();
	for (const InterfaceState &state : links.made) {
		made.push_back(interface_to_json(state));
	}
	for (const auto &list : links.gateways) {
		Json one = Json::array();
		for (const InterfaceGateway &gateway : list) {
			one.push_back(gateway_to_json(gateway));
		}
		gateways.push_back(one);
	}
	send(Json{{"m", "links"}, {"made", made}, {"gateways", gateways}}.dump());
}

void InitPeer::send_exec() {
	send(R"({"m":"exec"})");
}

std::vector<Fd> InitPeer::receive_terminals() {
	std::vector<Fd> masters;
	for (bool last = false; !last;) {
		Message message = expect(socket_.get(), "terminals");
		last = message.body.at("last");
		std::ranges::move(message.fds, std::back_inserter(masters));
	}
	return masters;
}

void InitPeer::receive_ready() {
	expect(socket_.get(), "ready");
}

void InitPeer::wait_for_exec() {
	if (const auto message = receive(socket_.get())) {
		throw_reported(message->body);
	}
}

void InitPeer::throw_last_words() {
	tslxc::throw_last_words(socket_.get());
}

MountsPacket MonitorPeer::receive_mounts() {
	MountsPacket packet;
	for (bool last = false; !last;) {
		Message message = expect_from_monitor(socket_.get(), "mounts");
		last = message.body.at("last");
		std::size_t next = 0;
		for (const Json &entry : message.body.at("entries")) {
			packet.mounts.push_back({entry.at("index").get<int>(), entry.at("sent").get<bool>() ? std::move(message.fds.at(next++)) : Fd(),
									 entry.at("locked").get<bool>()});
		}
		if (message.body.at("staging").get<bool>()) {
			packet.staging = std::move(message.fds.at(next));
		}
	}
	return packet;
}

void MonitorPeer::send_staged() {
	send_packet(socket_.get(), R"({"m":"staged"})");
}

void MonitorPeer::wait_for_locked() {
	expect_from_monitor(socket_.get(), "locked");
}

Links MonitorPeer::receive_links() {
	const Message message = expect_from_monitor(socket_.get(), "links");
	Links links;
	for (const Json &one : message.body.at("made")) {
		links.made.push_back(interface_from_json(one));
	}
	for (const Json &list : message.body.at("gateways")) {
		auto &gateways = links.gateways.emplace_back();
		for (const Json &one : list) {
			gateways.push_back({one.at("family").get<int>(), one.at("address").get<std::string>()});
		}
	}
	return links;
}

void MonitorPeer::send_terminals(const std::vector<int> &masters) {
	std::size_t done = 0;
	do {
		const std::size_t end = std::min(done + terminals_per_packet, masters.size());
		const std::vector<int> part(masters.begin() + static_cast<std::ptrdiff_t>(done),
									masters.begin() + static_cast<std::ptrdiff_t>(end));
		done = end;
		send_packet(socket_.get(), Json{{"m", "terminals"}, {"last", done == masters.size()}}.dump(), part);
	} while (done < masters.size());
}

void MonitorPeer::send_ready() {
	send_packet(socket_.get(), R"({"m":"ready"})");
}

void MonitorPeer::wait_for_exec() {
	expect_from_monitor(socket_.get(), "exec");
}

void MonitorPeer::send_error(const ErrorInfo &error) noexcept {
	try {
		const Json body{{"m", "error"},		  {"code", error.code}, {"message", error.message},
						{"hint", error.hint}, {"step", error.step}, {"errno", error.error_number}};
		send_packet(socket_.get(), body.dump(-1, ' ', false, Json::error_handler_t::replace));
	} catch (const std::exception &) {
		return;
	}
}

} // namespace tslxc
