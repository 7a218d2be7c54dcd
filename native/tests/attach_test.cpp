#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../container/passwd.hpp"
#include "../container/pty.hpp"
#include "../spec/spec.hpp"
#include "check.hpp"

using namespace tslxc;

TEST(passwd_lines) {
	const std::string_view text =
		"broken\n:x::::\nroot:x:0:0:root:/root:/bin/bash\nbob:x:1000:1001:Bob,,,:/home/bob:/bin/zsh\nbob2:x:1000:5::/:/x\n"
		"none:x:7:7:::\nlast:x:9:9::/h:/bin/l";
	auto bob = find_in_passwd(text, 1000);
	CHECK(bob && bob->name == "bob" && bob->gid == 1001 && bob->home == "/home/bob" && bob->shell == "/bin/zsh");
	CHECK_EQUAL(find_in_passwd(text, 0)->shell, "/bin/bash");
	CHECK_EQUAL(find_in_passwd(text, 9)->shell, "/bin/l");
	CHECK(find_in_passwd(text, 7)->shell.empty());
	CHECK(!find_in_passwd(text, 4242));
	CHECK(!find_in_passwd("", 0));
}

TEST(spec_part_for_entering) {
	const auto program = std::filesystem::read_symlink("/proc/self/exe"); // native/build/Release/native_tests
	const auto text = read_file((program.parent_path() / "../../../test/fixtures/spec/full.json").string());
	const auto whole = parse_spec(text);
	const auto part = parse_spec_for_entering(text);
	CHECK_EQUAL(part.name, whole.name);
	CHECK(part.init.env == whole.init.env);
	CHECK_EQUAL(part.idmap.size(), whole.idmap.size());
	CHECK(part.create_namespaces == whole.create_namespaces);
	CHECK(part.security.capability_names == whole.security.capability_names);
	CHECK_EQUAL(part.security.seccomp_filter, whole.security.seccomp_filter);
	CHECK_EQUAL(part.rlimits.size(), whole.rlimits.size());
	CHECK_THROWS(parse_spec_for_entering("{\"version\":2}"), "version");
	CHECK_THROWS(parse_spec_for_entering("{\"version\":1,\"name\":\"a\"}"), "init");
	CHECK_THROWS(parse_spec_for_entering("{\"version\":1,\"name\":\"a"), "cannot read spec");
	CHECK_THROWS(parse_spec_for_entering(""), "cannot read spec");
}

namespace {

/** What reaches the guest of `typed`, with sockets for the keyboard and the pty. */
std::string escape_session(std::string_view typed, BridgeEnd::Why &why) {
	int keyboard[2];
	int pty[2];
	CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, keyboard) == 0 &&
		  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pty) == 0);
	const Fd ends[] = {Fd(keyboard[0]), Fd(keyboard[1]), Fd(pty[0]), Fd(pty[1])};
	write_all(keyboard[0], typed, "the keyboard");
	if (typed.find('q') == typed.npos) {
		::shutdown(pty[1], SHUT_WR); // nothing detaches: the guest hangs up
	}
	Bridge bridge;
	bridge.keyboard = keyboard[1];
	bridge.master = pty[0];
	bridge.escape = 1;
	why = run_bridge(bridge).why;
	std::array<char, 64> buffer;
	auto count = ::read(pty[1], buffer.data(), buffer.size());
	return {buffer.data(), static_cast<std::size_t>(count > 0 ? count : 0)};
}

} // namespace

TEST(bridge_escape) {
	BridgeEnd::Why why;
	CHECK_EQUAL(escape_session("\x01q", why), "");
	CHECK(why == BridgeEnd::Why::detached);
	CHECK_EQUAL(escape_session("ab\x01\x01"
							   "c\x01q",
							   why),
				"ab\x01"
				"c");
	CHECK_EQUAL(escape_session("a\x01x\x01qrest", why), "a\x01x");
	escape_session("a", why);
	CHECK(why == BridgeEnd::Why::closed);
}

TEST(bridge_back_pressure) {
	int pty[2];
	int screen[2];
	CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pty) == 0 &&
		  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, screen) == 0);
	const pid_t guest = ::fork();
	if (guest == 0) {
		::close(pty[0]);
		::close(screen[0]);
		::close(screen[1]);
		::fcntl(pty[1], F_SETFL, 0);
		std::string text(3'000'000, 'x');
		write_all(pty[1], text, "the pty");
		::_exit(0);
	}
	::close(pty[1]);
	const pid_t viewer = ::fork();
	if (viewer == 0) {
		::close(pty[0]);
		::close(screen[1]);
		::fcntl(screen[0], F_SETFL, 0);
		std::array<char, 1000> buffer;
		long total = 0;
		ssize_t count;
		while ((count = ::read(screen[0], buffer.data(), buffer.size())) > 0) {
			total += count;
			if (total < 200'000) {
				::usleep(100); // slower than the writer
			}
		}
		::_exit(total == 3'000'000 ? 0 : 1);
	}
	::close(screen[0]);
	Bridge bridge;
	bridge.screen = screen[1];
	bridge.master = pty[0];
	const auto end = run_bridge(bridge);
	::close(screen[1]);
	CHECK(end.why == BridgeEnd::Why::closed);
	CHECK_EQUAL(wait_for(guest), 0);
	CHECK_EQUAL(wait_for(viewer), 0);
	::close(pty[0]);
}
