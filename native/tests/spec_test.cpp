#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "../base/file.hpp"
#include "../spec/message.hpp"
#include "../spec/settings.hpp"
#include "../spec/spec.hpp"
#include "check.hpp"
#include "scratch.hpp"

using namespace tslxc;

namespace {
std::string fixture(const std::string &name) {
	const auto program = std::filesystem::read_symlink("/proc/self/exe"); // native/build/Release/native_tests
	return read_file((program.parent_path() / "../../../test/fixtures/spec" / name).string());
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
	const std::size_t at = text.find(from);
	CHECK(at != std::string::npos);
	return text.replace(at, from.size(), to);
}

SpecHead head_of(const std::string &text) {
	const auto head = parse_spec_head(text);
	CHECK(head.has_value());
	return *head;
}
} // namespace

TEST(specs_are_written_as_they_were_read) {
	for (const char *name : {"minimal.json", "full.json"}) {
		CHECK_EQUAL(write_spec(parse_spec(fixture(name))), fixture(name));
	}
}

TEST(specs_are_read_whole) {
	const Spec spec = parse_spec(fixture("full.json"));
	CHECK_EQUAL(spec.listing.order, -3);
	CHECK_EQUAL(spec.init.halt_signal.value_or(0), 37);
	CHECK(spec.unprivileged() && spec.creates("user") && !spec.creates("net"));
	CHECK_EQUAL(spec.join_namespaces.at("net"), "other");
	CHECK_EQUAL(spec.idmap[1].outside, 4294901760u);
	CHECK_EQUAL(spec.mounts[3].idmap == MountEntry::Idmap::container_without_root, true);
	CHECK_EQUAL(spec.mounts[4].source.path, "proc");
	CHECK(!spec.devices[1].minor && spec.devices[2].minor == 0u);
	CHECK_EQUAL(spec.rlimits[0].hard.value_or(0), 9007199254740991u);
	CHECK_EQUAL(spec.hooks.at("pre-start")[0][1], "b");
}

TEST(specs_with_anything_unknown_are_refused) {
	const std::string good = fixture("minimal.json");
	CHECK_THROWS(parse_spec("{"), "is no JSON");
	CHECK_THROWS(parse_spec(replaced(good, "\"version\":1", "\"version\":2")), "version is another one");
	CHECK_THROWS(parse_spec(replaced(good, "\"hostname\":\"min\"", "\"hostname\":\"min\",\"more\":1")), "more is an unknown key");
	CHECK_THROWS(parse_spec(replaced(good, "\"cwd\":\"/\",", "")), "init.cwd is missing");
	CHECK_THROWS(parse_spec(replaced(good, "\"uid\":0", "\"uid\":-1")), "init.uid is out of range");
	CHECK_THROWS(parse_spec(replaced(good, "\"uid\":0", "\"uid\":1.5")), "init.uid is no whole number");
	CHECK_THROWS(parse_spec(replaced(good, "\"kind\":\"bind\"", "\"kind\":\"bond\"")), "mounts[0].source.kind is 'bond'");
	CHECK_THROWS(parse_spec(replaced(good, "\"create\":[\"mount\",", "\"create\":[\"moint\",")), "namespaces.create is 'moint'");
	CHECK_THROWS(parse_spec(replaced(good, "\"steps\":{}", "\"steps\":{\"start-up\":[]}")), "hooks.steps is 'start-up'");
}

TEST(the_head_of_a_spec_is_enough_for_a_listing) {
	const std::string text = fixture("full.json");
	const SpecHead head = head_of(text.substr(0, text.find("\"configFile\"")));
	CHECK_EQUAL(head.build, "abc");
	CHECK(head.listing.autostart && head.listing.unprivileged);
	CHECK_EQUAL(head.listing.order, -3);
	CHECK_EQUAL(head.listing.delay_seconds, 5);
	CHECK_EQUAL(join(head.listing.groups, "|"), "onboot|web, \"quoted\"");
	CHECK_EQUAL(head.stamps.size(), 2u);
	CHECK_EQUAL(head.stamps[0].ctime_ns, "1795522558646299641");
	CHECK_EQUAL(head.stamps[0].size, 114);
	CHECK(!head.stamps[0].absent && head.stamps[1].absent);
	CHECK_EQUAL(head.stamps[1].path, "/etc/tslxc/tslxc.yaml");
	CHECK(!parse_spec_head(text.substr(0, 200)));
	CHECK(!parse_spec_head(""));
	CHECK(!parse_spec_head(replaced(text, "\"version\":1", "\"version\":2")));
}

TEST(a_spec_is_stale_when_an_input_differs) {
	const testing::Scratch scratch;
	const std::string there = scratch.path + "/there";
	write_file_atomic(there, "one");
	SpecHead head{"build", {}, {stamp_of(there), stamp_of(scratch.path + "/absent")}};
	const auto stale = [&head](const char *build) {
		StampCache seen;
		return is_stale(head, build, seen);
	};
	CHECK(head.stamps[1].absent);
	CHECK(!stale("build"));
	CHECK(stale("other build"));
	write_file_atomic(there, "two");
	CHECK(stale("build"));
	head.stamps[0] = stamp_of(there);
	CHECK(!stale("build"));
	write_file_atomic(scratch.path + "/absent", "");
	CHECK(stale("build"));
	head.stamps[1] = stamp_of(scratch.path + "/absent");
	::unlink(there.c_str());
	CHECK(stale("build"));
}

TEST(settings_and_paths) {
	const auto settings = parse_settings(
		R"({"version":1,"build":"b","stamps":[["/etc/x"]],"lxcpath":"/srv/c","logLevel":"INFO","values":{"lxc.lxcpath":"/srv/c"}})");
	CHECK(settings && settings->lxcpath == "/srv/c" && settings->stamps[0].absent && settings->values.at("lxc.lxcpath") == "/srv/c");
	CHECK(!parse_settings("{}") && !parse_settings("") && !parse_settings(R"({"version":2})"));
	const testing::Scratch scratch;
	struct stat status;
	CHECK(::stat(scratch.path.c_str(), &status) == 0);
	const Paths paths = make_paths("/root", scratch.path + "//");
	CHECK_EQUAL(paths.lxcpath, scratch.path);
	CHECK_EQUAL(paths.run_dir("web"), cat("/root/run/tslxc/", status.st_dev, "-", status.st_ino, "/web"));
	CHECK_EQUAL(paths.lock_file("web"), cat(paths.run_lxcpath, "/locks/web"));
	CHECK_EQUAL(make_paths("", "/does/not/exist").run_lxcpath, "/run/tslxc/none");
	for (const char *bad : {"", "a/b", "..", ".hidden", "-n", "a b", "ä"}) {
		CHECK_THROWS(check_name(bad), "cannot use name");
	}
	CHECK_THROWS(check_name(std::string(64, 'a')), "63");
	check_name(std::string(63, 'a'));
	check_name("a.b_c-1");
}

TEST(messages) {
	const Reply good = parse_reply(R"({"ok":true,"pid":42})");
	CHECK(good.ok && good.pid == 42);
	const Reply bad = parse_reply(R"({"ok":false,"error":{"code":"busy","message":"m","hint":"h","errno":5},"console":"a\nb"})");
	CHECK(!bad.ok && bad.error.code == "busy" && bad.error.hint == "h" && bad.error.error_number == 5 && bad.console == "a\nb");
	CHECK_EQUAL(write_error(bad.error), R"({"code":"busy","message":"m","hint":"h","errno":5})");
	CHECK(!parse_reply("gibberish").ok);
	CHECK_EQUAL(find_error_lines("warning\n{\"error\":{\"code\":\"config\",\"message\":\"x\"}}\n{}\n").size(), 1u);
	const auto [spec, seccomp] = parse_compiled(R"({"spec":{"b":1,"a":2},"seccomp":"QUI="})");
	CHECK_EQUAL(spec, R"({"b":1,"a":2})");
	CHECK_EQUAL(seccomp, "QUI=");
}
