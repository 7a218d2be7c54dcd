#include "../applets/info_keys.hpp"
#include "../applets/listing.hpp"
#include "check.hpp"

using namespace tslxc;

TEST(tables_are_lxcs) {
	Row web;
	web.name = "web";
	web.listing = Listing{true, 0, 0, {"x", "y"}, true};
	Row broken;
	broken.name = "a-broken-one";
	CHECK_EQUAL(table_text({broken, web}, read_columns(std::nullopt)), "NAME         STATE   AUTOSTART GROUPS IPV4 IPV6 UNPRIVILEGED \n"
																	   "a-broken-one STOPPED -         -      -    -    -            \n"
																	   "web          STOPPED 1         x, y   -    -    true         \n");
	CHECK_EQUAL(table_text({web}, read_columns("pid,Ram,INTERFACE")), "PID RAM    INTERFACE \n-   -      -         \n");
	CHECK_EQUAL(table_text({web}, read_columns("")), "\n\n");
	CHECK_THROWS(read_columns("NAME,BOGUS"), "Invalid key: BOGUS");
	CHECK(!need_listing(read_columns("NAME,STATE,IPV4")) && need_listing(read_columns("groups")));
}

TEST(keys_are_printed_as_lxc_does) {
	Spec spec;
	spec.keys = {{"lxc.uts.name", "web"},
				 {"lxc.cap.drop", "a"},
				 {"lxc.cap.drop", "b"},
				 {"lxc.net.0.ipv4.address", "1"},
				 {"lxc.net.0.ipv4.address", "2"}};
	CHECK_EQUAL(find_key(spec, "lxc.uts.name").value_or("?"), "web");
	CHECK_EQUAL(find_key(spec, "uts.name").value_or("?"), "web");
	CHECK_EQUAL(find_key(spec, "lxc.cap.drop").value_or("?"), "a\nb\n");
	CHECK_EQUAL(find_key(spec, "lxc.net.0.ipv4.address").value_or("?"), "1\n2");
	CHECK_EQUAL(find_key(spec, "lxc.start.delay").value_or("?"), "0");
	CHECK_EQUAL(find_key(spec, "lxc.hook.start").value_or("?"), "");
	CHECK(!find_key(spec, "lxc.bogus"));
}
