#include "state.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>

#include <nlohmann/json.hpp>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/log.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../base/time.hpp"
#include "../kernel/cgroup.hpp"

namespace tslxc {

namespace {
using Json = nlohmann::json;

constexpr std::array names = {"STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED"};

std::string text_at(const Json &object, const char *key) {
	const auto found = object.find(key);
	return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <typename T> T number_at(const Json &object, const char *key) {
	const auto found = object.find(key);
	return found != object.end() && found->is_number_integer() ? found->get<T>() : T{};
}

std::map<std::string, std::string> texts_at(const Json &object, const char *key) {
	std::map<std::string, std::string> out;
	const auto found = object.find(key);
	if (found != object.end() && found->is_object()) {
		for (const auto &item : found->items()) {
			if (item.value().is_string()) {
				out[item.key()] = item.value().get<std::string>();
			}
		}
	}
	return out;
}

InterfaceState read_interface(const Json &value) {
	InterfaceState out;
	out.index = number_at<int>(value, "index");
	out.type = text_at(value, "type");
	out.name = text_at(value, "name");
	out.host_name = text_at(value, "hostName");
	out.hwaddr = text_at(value, "hwaddr");
	out.link = text_at(value, "link");
	return out;
}

std::string texts_json(const std::map<std::string, std::string> &texts) {
	JsonWriter out('{');
	for (const auto &[key, value] : texts) {
		out.field(key, value);
	}
	return out.done();
}

std::string interface_json(const InterfaceState &interface) {
	JsonWriter out('{');
	out.raw("index", cat(interface.index));
	out.field("type", interface.type);
	out.field("name", interface.name);
	out.field("hostName", interface.host_name);
	out.field("hwaddr", interface.hwaddr);
	out.field("link", interface.link);
	return out.done();
}

/** Starting over keeps the file short; a reader notices that it shrank. */
constexpr off_t max_event_bytes = 256 * 1024;

void append_event(int run_dir_fd, const State &state) {
	const Fd fd(::openat(run_dir_fd, "events.jsonl", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
	if (!fd) {
		throw_errno("state", "cannot open events.jsonl");
	}
	struct stat status;
	if (state.state == RunState::starting && ::fstat(fd.get(), &status) == 0 && status.st_size > max_event_bytes) {
		[[maybe_unused]] const int ignored = ::ftruncate(fd.get(), 0);
	}
	JsonWriter event('{');
	event.field("time", utc_time());
	event.field("state", state_name(state.state));
	if (state.init_pid > 0) {
		event.raw("initPid", cat(state.init_pid));
	}
	if (state.exit_status) {
		event.raw("exitStatus", cat(*state.exit_status));
	}
	// One write(2) a line: O_APPEND keeps lines whole for readers.
	write_all(fd.get(), event.done() + '\n', "events.jsonl");
}

/** Who holds the write lock of the file; 0: nobody, -1: somebody unknown. Never to be asked by the holder: closing the file would drop its
 * lock. fcntl_locking(2)
 */
pid_t lock_holder(const std::string &path) {
	const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	struct flock lock {};
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	if (!fd || ::fcntl(fd.get(), F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK) {
		return 0;
	}
	// A holder in another pid namespace has no pid here.
	return lock.l_pid > 0 ? lock.l_pid : -1;
}

} // namespace

const char *state_name(RunState state) {
	return names[static_cast<std::size_t>(state)];
}

std::optional<RunState> parse_state_name(std::string_view name) {
	for (std::size_t i = 0; i < names.size(); i++) {
		if (name == names[i]) {
			return static_cast<RunState>(i);
		}
	}
	return std::nullopt;
}

std::string write_state(const State &state) {
	JsonWriter out('{');
	out.raw("version", "1");
	out.field("state", state_name(state.state));
	out.raw("initPid", cat(state.init_pid));
	out.raw("initStartTime", cat(state.init_start_time));
	out.raw("monitorPid", cat(state.monitor_pid));
	out.raw("cgroups", texts_json(state.cgroups));
	out.raw("monitorCgroups", texts_json(state.monitor_cgroups));
	out.field("startedAt", state.started_at);
	JsonWriter interfaces('[');
	for (const InterfaceState &interface : state.interfaces) {
		interfaces.item(interface_json(interface));
	}
	out.raw("interfaces", interfaces.done());
	out.raw("haltSignal", cat(state.halt_signal));
	if (state.exit_status) {
		out.raw("exitStatus", cat(*state.exit_status));
	}
	if (!state.console_tail.empty()) {
		out.field("consoleTail", state.console_tail);
	}
	if (state.failed) {
		out.raw("failed", "true");
	}
	return out.done() + '\n';
}

std::optional<State> parse_state(std::string_view json) {
	const Json value = Json::parse(json, nullptr, false);
	if (!value.is_object()) {
		return std::nullopt;
	}
	const auto name = parse_state_name(text_at(value, "state"));
	if (!name) {
		return std::nullopt;
	}
	State out;
	out.state = *name;
	out.init_pid = number_at<pid_t>(value, "initPid");
	out.init_start_time = number_at<unsigned long long>(value, "initStartTime");
	out.monitor_pid = number_at<pid_t>(value, "monitorPid");
	out.cgroups = texts_at(value, "cgroups");
	out.monitor_cgroups = texts_at(value, "monitorCgroups");
	out.started_at = text_at(value, "startedAt");
	out.halt_signal = number_at<int>(value, "haltSignal");
	out.console_tail = text_at(value, "consoleTail");
	out.failed = value.value("failed", Json()) == true;
	if (value.contains("exitStatus")) {
		out.exit_status = number_at<int>(value, "exitStatus");
	}
	const auto interfaces = value.find("interfaces");
	if (interfaces != value.end() && interfaces->is_array()) {
		for (const Json &interface : *interfaces) {
			if (interface.is_object()) {
				out.interfaces.push_back(read_interface(interface));
			}
		}
	}
	return out;
}

namespace {
void replace_state(int run_dir_fd, const State &state) {
	{
		const Fd fd(::openat(run_dir_fd, "state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
		if (!fd) {
			throw_errno("state", "cannot write state.json");
		}
		write_all(fd.get(), write_state(state), "state.json");
	}
	if (::renameat(run_dir_fd, "state.json.new", run_dir_fd, "state.json") < 0) {
		throw_errno("state", "cannot replace state.json");
	}
}

bool is_on_the_way_down(RunState state) {
	return state == RunState::stopping || state == RunState::aborting || state == RunState::stopped;
}
} // namespace

void publish_state(int run_dir_fd, const State &state) {
	try {
		replace_state(run_dir_fd, state);
		// After the state: who is woken by the event finds the state as the event says.
		append_event(run_dir_fd, state);
	} catch (const SysError &error) {
		if (!is_on_the_way_down(state.state)) {
			throw;
		}
		// A full run directory must not keep a container from ending. An absent state is STOPPED.
		log::warn("state", error.what());
		::unlinkat(run_dir_fd, "state.json.new", 0);
		if (state.state == RunState::stopped) {
			::unlinkat(run_dir_fd, "state.json", 0);
		}
	}
}

Observation observe(const std::string &run_dir) {
	Observation out;
	const auto text = read_file_if_present(run_dir + "/state.json");
	if (!text) {
		return out;
	}
	out.state = parse_state(*text).value_or(State{});
	const pid_t holder = lock_holder(run_dir + "/monitor.lock");
	out.monitor_alive = holder != 0;
	if (holder > 0) {
		out.state.monitor_pid = holder;
	}
	if (out.state.state == RunState::stopped) {
		return out;
	}
	const auto start_time = process_start_time(out.state.init_pid);
	out.init_alive = start_time && *start_time == out.state.init_start_time;
	if (out.monitor_alive) {
		return out;
	}
	// It may have said STOPPED and gone between the two looks.
	const auto again = read_file_if_present(run_dir + "/state.json");
	const auto later = again ? parse_state(*again) : std::nullopt;
	if (!later || later->state == RunState::stopped) {
		Observation stopped;
		stopped.state = later.value_or(State{});
		return stopped;
	}
	out.crashed = true;
	out.state.state = out.init_alive || has_processes(out.state.cgroups) ? RunState::aborting : RunState::stopped;
	return out;
}

int hold_monitor_lock(int run_dir_fd) {
	Fd fd(::openat(run_dir_fd, "monitor.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (!fd) {
		throw_errno("lock", "cannot open monitor.lock");
	}
	struct flock lock {};
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	if (::fcntl(fd.get(), F_SETLK, &lock) < 0) {
		if (errno == EACCES || errno == EAGAIN) {
			throw_error("busy", "cannot take monitor.lock: another monitor of this container lives");
		}
		throw_errno("lock", "cannot take monitor.lock");
	}
	// Given up to the process: closing any descriptor of the file drops the lock.
	return fd.release();
}

} // namespace tslxc
