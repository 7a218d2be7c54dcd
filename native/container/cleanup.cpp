#include "cleanup.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <optional>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../kernel/cgroup.hpp"
#include "../kernel/netlink.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

namespace {

/** Runs every part; the first error is thrown when all were tried. */
template <typename... Parts> void try_all(const Parts &...parts) {
	std::optional<SysError> first;
	const auto attempt = [&first](const auto &part) {
		try {
			part();
		} catch (const SysError &error) {
			if (!first) {
				first = error;
			}
		}
	};
	(attempt(parts), ...);
	if (first) {
		throw SysError(first->info());
	}
}

void kill_init(const State &state) {
	const Fd init = open_process(state.init_pid, state.init_start_time);
	if (init) {
		sys::pidfd_send_signal(init.get(), SIGKILL);
	}
}

/** A pair dies with the container's network namespace; only one whose other end never got there is left. */
void remove_links(const State &state) {
	Netlink netlink;
	for (const InterfaceState &interface : state.interfaces) {
		if (interface.type != "veth" || interface.host_name.empty()) {
			continue;
		}
		if (const auto link = netlink.find_link(interface.host_name); link && link->kind == "veth") {
			netlink.delete_link(link->index);
		}
	}
}

/** A monitor that died before it could say where its cgroups are: making them anew takes the leftovers, which then go. */
void remove_unknown_cgroups(const Paths &paths, const std::string &name) {
	const auto text = read_file_if_present(cat(paths.run_dir(name), "/spec.json"));
	if (text) {
		const ContainerCgroups cgroups = create_cgroups(parse_spec(*text));
		remove_cgroups(cgroups.payload);
		remove_cgroups(cgroups.monitor);
	}
}

} // namespace

void clean_up_crashed(const Paths &paths, const std::string &name, const Observation &observation) {
	const State &state = observation.state;
	const Fd run_dir = open_or_throw(paths.run_dir(name), O_RDONLY | O_DIRECTORY);
	try_all([&] { kill_init(state); },
			[&] {
				if (!kill_all(state.cgroups, 10'000)) {
					throw_error("state", cat("cannot clean up '", name, "': some of its processes can't be killed"),
								"look for processes in state D: ps ax");
				}
			},
			[&] { remove_links(state); }, [&] { remove_cgroups(state.cgroups); }, [&] { remove_cgroups(state.monitor_cgroups); },
			[&] {
				if (state.cgroups.empty()) {
					remove_unknown_cgroups(paths, name);
				}
			});
	::unlinkat(run_dir.get(), "monitor.sock", 0);
	State stopped;
	stopped.exit_status = state.exit_status;
	publish_state(run_dir.get(), stopped);
	log::info("cleanup", cat("cleaned up after a monitor of '", name, "' that died"));
}

} // namespace tslxc
