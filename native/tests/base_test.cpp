#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstdlib>

#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/socket.hpp"
#include "check.hpp"
#include "scratch.hpp"

using namespace tslxc;

TEST(text_parts) {
	CHECK_EQUAL(join(split("a,,b", ','), "|"), "a||b");
	CHECK_EQUAL(split("", ',').size(), 1u);
	CHECK_EQUAL(trim(" \ta b\n"), "a b");
	CHECK_EQUAL(to_int("-12").value_or(0), -12);
	CHECK(!to_int("12x") && !to_int("") && !to_int("+1"));
}

TEST(no_orders_to_the_terminal) {
	CHECK_EQUAL(printable("a\tb\nä \x1b]0;x\x07\x1b[31mred\x7f\r"), "a\tb\nä ]0;x[31mred");
	CHECK_EQUAL(printable("\xc2\x9b"
						  "2J\xc2\xa0\xc2"),
				"2J\xc2\xa0\xc2");
}

TEST(files_read_and_replace) {
	const testing::Scratch scratch;
	const std::string file = scratch.path + "/a/b/file";
	CHECK(!read_file_if_present(file));
	make_dirs(scratch.path + "/a/b", 0700);
	make_dirs(scratch.path + "/a/b", 0700);
	write_file_atomic(file, "one");
	write_file_atomic(file, "two");
	CHECK_EQUAL(read_file(file), "two");
	CHECK_THROWS(read_file(file, 2), "File too large");
	CHECK_THROWS(read_file(scratch.path + "/none"), "cannot read");
	CHECK(!read_file("/proc/self/stat").empty());
}

TEST(process_identity) {
	const auto start = process_start_time(::getpid());
	CHECK(start.has_value());
	CHECK(static_cast<bool>(open_process(::getpid(), *start)));
	CHECK(!open_process(::getpid(), *start + 1));
	const pid_t child = ::fork();
	if (child == 0) {
		::_exit(7);
	}
	siginfo_t info;
	::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
	CHECK(!process_start_time(child));
	CHECK_EQUAL(wait_for(child), 7);
}

TEST(process_runs_a_program) {
	const RunResult result = run_program({"/bin/sh", "-c", "echo $WORD; echo err >&2; exit 3"}, {"WORD=x"});
	CHECK_EQUAL(result.exit_code, 3);
	CHECK_EQUAL(result.output, "x\nerr\n");
	CHECK_EQUAL(run_program({"/does/not/exist"}, {}).exit_code, 127);
	// What stays behind in the background does not hold us up.
	CHECK_EQUAL(run_program({"/bin/sh", "-c", "sleep 2 & echo done"}, {}).output, "done\n");
}

TEST(packets_carry_descriptors) {
	auto [left, right] = packet_pair();
	send_packet(left.get(), "hello", {STDIN_FILENO, STDOUT_FILENO});
	const auto packet = receive_packet(right.get(), 1000);
	CHECK(packet && packet->text == "hello" && packet->fds.size() == 2);
	CHECK((::fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
	CHECK_THROWS(receive_packet(right.get(), 0), "timed out");
	left.reset();
	CHECK(!receive_packet(right.get(), 1000));
}

TEST(sockets_beyond_the_length_of_sun_path) {
	const testing::Scratch scratch;
	const std::string deep = scratch.path + "/" + std::string(120, 'd');
	make_dirs(deep, 0700);
	const Fd dir = open_or_throw(deep, O_PATH | O_DIRECTORY);
	const Fd first = listen_in(dir.get(), "m.sock");
	const Fd listener = listen_in(dir.get(), "m.sock");
	const Fd client = connect_in(dir.get(), "m.sock");
	const Fd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
	CHECK_EQUAL(peer_of(server.get()).pid, ::getpid());
}
