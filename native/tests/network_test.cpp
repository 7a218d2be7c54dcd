#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../container/network.hpp"
#include "../kernel/netlink.hpp"
#include "../kernel/syscalls.hpp"
#include "check.hpp"

using namespace tslxc;

namespace {

/** A process that waits in a network namespace of its own. */
pid_t start_in_new_namespace() {
	int ready[2];
	if (::pipe2(ready, O_CLOEXEC) != 0) {
		return -1;
	}
	pid_t child = ::fork();
	if (child == 0) {
		char done = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
		[[maybe_unused]] auto count = ::write(ready[1], &done, 1);
		for (;;) {
			::pause();
		}
	}
	char answer = 'n';
	[[maybe_unused]] auto count = ::read(ready[0], &answer, 1);
	::close(ready[0]);
	::close(ready[1]);
	return answer == 'y' ? child : -1;
}

void run_ok(const std::vector<std::string> &argv) {
	auto result = run_program(argv, {});
	if (result.exit_code != 0) {
		testing::fail(__FILE__, __LINE__, cat(argv[0], " ", argv[1], ": ", result.output));
	}
}

void check_links() {
	run_ok({"ip", "link", "set", "lo", "up"});
	run_ok({"ip", "link", "add", "nbr0", "type", "bridge"});
	run_ok({"ip", "address", "add", "10.99.0.1/24", "dev", "nbr0"});
	run_ok({"ip", "link", "set", "nbr0", "up"});
	pid_t guest = start_in_new_namespace();
	CHECK(guest > 0);
	Fd pidfd(sys::pidfd_open(guest, 0));
	Fd netns = open_or_throw(cat("/proc/", guest, "/ns/net"), O_RDONLY);
	Spec spec;
	spec.name = "web";
	spec.config_file = "/x/config.yaml";
	InterfacePlan plan;
	plan.type = "veth";
	plan.link = "nbr0";
	plan.host_name = "ntesthost";
	plan.hwaddr = "10:66:6a:01:02:03";
	plan.addresses = {{4, "10.99.0.7", 24, ""}, {6, "fd00::7", 64, ""}};
	plan.gateways = {{4, "auto"}};
	InterfacePlan second;
	second.index = 1;
	second.type = "veth";
	second.name = "eth0";
	second.addresses = {{4, "10.98.0.7", 32, ""}};
	spec.network = {plan, second};
	auto made = make_links(spec, netns.get());
	CHECK_EQUAL(made[0].name, "eth1");
	CHECK_EQUAL(made[1].name, "eth0");
	spec.network[0].gateways = resolve_gateways(spec.network[0]);
	CHECK_EQUAL(spec.network[0].gateways[0].address, "10.99.0.1");
	Netlink netlink;
	auto host = netlink.find_link("ntesthost");
	CHECK(host && host->up && host->kind == "veth" && host->hwaddr.starts_with("fe:"));
	CHECK_EQUAL(host->master, netlink.find_link("nbr0")->index);
	CHECK(!netlink.find_link("absent0"));
	pid_t init = ::fork();
	if (init == 0) {
		int code = 1;
		if (::setns(pidfd.get(), CLONE_NEWNET) == 0) {
			try {
				configure_links(spec.network, made);
				Netlink inside;
				auto link = inside.find_link("eth1");
				code = link && link->hwaddr == plan.hwaddr && link->up && inside.find_link("lo")->up ? 0 : 2;
			} catch (const SysError &error) {
				std::fprintf(stderr, "%s\n", error.what());
			}
		}
		::_exit(code);
	}
	CHECK_EQUAL(wait_for(init), 0);
	auto view = view_network(pidfd.get());
	CHECK_EQUAL(view.ipv4.size(), 2u);
	CHECK_EQUAL(view.ipv6.size(), 1u);
	CHECK_EQUAL(view.ipv6[0].second, "fd00::7");
	CHECK(netlink.find_link("nbr0")); // back in our own namespace
	run_ok({"ping", "-c1", "-W2", "10.99.0.7"});
	spec.network[0].link = "nobridge0";
	CHECK_THROWS(make_links(spec, netns.get()), "bridge nobridge0 does not exist");
	::kill(guest, SIGKILL);
	wait_for(guest);
}

} // namespace

TEST(network_links) {
	if (::geteuid() != 0 || run_program({"ip", "-V"}, {}).exit_code != 0) {
		return; // needs root and iproute2
	}
	pid_t child = ::fork();
	if (child == 0) {
		int code = 1;
		if (::unshare(CLONE_NEWNET) == 0) {
			try {
				check_links();
				code = 0;
			} catch (const SysError &error) {
				std::fprintf(stderr, "%s\n", error.what());
			} catch (...) {
				code = 3;
			}
		}
		::_exit(code);
	}
	CHECK_EQUAL(wait_for(child), 0);
}
