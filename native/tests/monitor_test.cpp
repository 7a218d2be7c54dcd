#include "../container/guest_files.hpp"
#include "../monitor/requests.hpp"
#include "check.hpp"

using namespace tslxc;

TEST(a_command_reads_back_as_it_was_written) {
	MonitorCommand stop;
	stop.op = MonitorCommand::Op::stop;
	stop.signal = 37;
	stop.timeout_ms = 1500;
	stop.kill_after = false;
	stop.wait = false;
	const MonitorCommand again = parse_command(write_command(stop));
	CHECK(again.op == MonitorCommand::Op::stop);
	CHECK_EQUAL(*again.signal, 37);
	CHECK_EQUAL(*again.timeout_ms, 1500);
	CHECK(!again.kill && !again.kill_after && !again.wait);

	MonitorCommand device;
	device.op = MonitorCommand::Op::device;
	device.add = false;
	device.rule = {false, 'c', 10, 200, "rwm"};
	const MonitorCommand rule = parse_command(write_command(device));
	CHECK(!rule.add && !rule.rule.allow);
	CHECK_EQUAL(rule.rule.type, 'c');
	CHECK_EQUAL(*rule.rule.minor, 200u);
	CHECK_EQUAL(rule.rule.access, std::string("rwm"));
}

TEST(a_wrong_command_is_refused_with_what_is_wrong) {
	CHECK_THROWS(parse_command("nonsense"), "no JSON object");
	CHECK_THROWS(parse_command("[1]"), "no JSON object");
	CHECK_THROWS(parse_command(R"({"op":"stop"})"), "version");
	CHECK_THROWS(parse_command(R"({"v":2,"op":"stop"})"), "version");
	CHECK_THROWS(parse_command(R"({"v":1})"), "'op' is missing");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"explode"})"), "'explode' is unknown");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"stop","sgnal":9})"), "'sgnal' is unknown");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"stop","signal":"9"})"), "'signal'");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"stop","signal":99})"), "'signal'");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"stop","kill":1})"), "'kill'");
	CHECK_THROWS(parse_command(R"({"v":1,"op":"device","add":{"type":"cc"}})"), "'type'");
}

TEST(a_failure_reaches_the_client_whole) {
	ErrorInfo error;
	error.code = "busy";
	error.message = "cannot open tty 1 of 'web'";
	error.hint = "wait";
	try {
		parse_monitor_reply(write_failure(error));
		CHECK(false);
	} catch (const SysError &read) {
		CHECK_EQUAL(read.info().code, error.code);
		CHECK_EQUAL(read.info().message, error.message);
		CHECK_EQUAL(read.info().hint, error.hint);
	}
	CHECK_EQUAL(parse_monitor_reply(write_console_granted(3)), 3);
}

TEST(a_block_is_added_replaced_and_taken_out_again) {
	const std::string mine = "127.0.0.1 localhost\n";
	const std::string once = with_block(mine, "10.0.0.2 web\n");
	CHECK_EQUAL(once, std::string("127.0.0.1 localhost\n# BEGIN tslxc\n10.0.0.2 web\n# END tslxc\n"));
	CHECK_EQUAL(with_block(once, "10.0.0.2 web\n"), once);
	const std::string after = with_block(once + "1.2.3.4 other\n", "10.0.0.3 web");
	CHECK_EQUAL(after, std::string("127.0.0.1 localhost\n# BEGIN tslxc\n10.0.0.3 web\n# END tslxc\n1.2.3.4 other\n"));
	CHECK_EQUAL(with_block(after, ""), mine + "1.2.3.4 other\n");
	CHECK_EQUAL(with_block("no newline", "x\n"), std::string("no newline\n# BEGIN tslxc\nx\n# END tslxc\n"));
	// A mark without its end is the admin's line.
	CHECK_EQUAL(with_block("# BEGIN tslxc\nmine\n", ""), std::string("# BEGIN tslxc\nmine\n"));
}
