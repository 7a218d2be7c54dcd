#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/prctl.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "error.hpp"
#include "file.hpp"
#include "text.hpp"

namespace tslxc {

namespace {
/** The fields of /proc/PID/stat behind the command's closing bracket, which may itself hold brackets and blanks: [0] is field 3. */
std::vector<std::string> stat_fields(const std::string &stat) {
	const std::size_t bracket = stat.rfind(')');
	if (bracket == std::string::npos || bracket + 2 >= stat.size()) {
		return {};
	}
	return split(trim(std::string_view(stat).substr(bracket + 2)), ' ');
}

std::optional<std::string> read_stat(const std::string &path) {
	const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	std::array<char, 2048> text;
	const ssize_t count = fd ? TEMP_FAILURE_RETRY(::read(fd.get(), text.data(), text.size())) : -1;
	// ESRCH on read: it went between open and read.
	return count > 0 ? std::optional(std::string(text.data(), static_cast<std::size_t>(count))) : std::nullopt;
}
} // namespace

std::optional<unsigned long long> process_start_time(pid_t pid) {
	if (pid <= 0) {
		return std::nullopt;
	}
	const auto stat = read_stat(cat("/proc/", pid, "/stat"));
	if (!stat) {
		return std::nullopt;
	}
	const auto fields = stat_fields(*stat);
	if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") {
		return std::nullopt;
	}
	const auto ticks = to_int(fields[19]);
	return ticks ? std::optional(static_cast<unsigned long long>(*ticks)) : std::nullopt;
}

Fd open_process(pid_t pid, unsigned long long start_time) {
	if (pid <= 0) {
		return {};
	}
	Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
	// Checked after opening: from here on the pid can't be reused for what the pidfd means.
	if (!fd || process_start_time(pid) != start_time) {
		return {};
	}
	return fd;
}

int wait_for(pid_t pid) {
	int status = 0;
	if (TEMP_FAILURE_RETRY(::waitpid(pid, &status, 0)) < 0) {
		throw_errno("wait", cat("cannot wait for process ", pid));
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void set_process_title(const std::string &title) {
	const auto stat = read_stat("/proc/self/stat");
	const auto fields = stat ? stat_fields(*stat) : std::vector<std::string>{};
	if (fields.size() < 49) {
		return;
	}
	const auto field = [&fields](int number) { return std::strtoull(fields[static_cast<std::size_t>(number - 3)].c_str(), nullptr, 10); };
	// The text must live in an area of its own as long as the process: the kernel reads it from there. PR_SET_MM_MAP(2const)
	void *area = ::mmap(nullptr, title.size() + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED) {
		return;
	}
	std::memcpy(area, title.c_str(), title.size() + 1);
	prctl_mm_map map{};
	map.start_code = field(26);
	map.end_code = field(27);
	map.start_stack = field(28);
	map.start_data = field(45);
	map.end_data = field(46);
	map.start_brk = field(47);
	map.brk = static_cast<__u64>(::syscall(SYS_brk, 0));
	map.arg_start = reinterpret_cast<__u64>(area);
	map.arg_end = map.arg_start + title.size() + 1;
	map.env_start = field(50);
	map.env_end = field(51);
	map.exe_fd = static_cast<__u32>(-1);
	if (::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) < 0) {
		::munmap(area, title.size() + 1);
	}
}

namespace {
[[noreturn]] void exec_child(const std::vector<std::string> &argv, const std::vector<std::string> &extra_env, int output) {
	sigset_t none;
	::sigemptyset(&none);
	::sigprocmask(SIG_SETMASK, &none, nullptr);
	for (const int number : {SIGPIPE, SIGCHLD, SIGINT, SIGTERM, SIGHUP}) {
		::signal(number, SIG_DFL);
	}
	const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 || ::dup2(output, STDERR_FILENO) < 0) {
		::_exit(126);
	}
	for (const std::string &entry : extra_env) {
		::putenv(const_cast<char *>(entry.c_str()));
	}
	std::vector<char *> words;
	for (const std::string &word : argv) {
		words.push_back(const_cast<char *>(word.c_str()));
	}
	words.push_back(nullptr);
	::execvp(words[0], words.data());
	const int error_number = errno;
	const std::string text = cat(argv[0], ": ", std::strerror(error_number), "\n");
	[[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
	::_exit(error_number == ENOENT ? 127 : 126);
}

constexpr std::size_t max_output_bytes = 64 * 1024;

/** False at the end of the output. */
bool take_output(int fd, std::string &output) {
	std::array<char, 4096> buffer;
	const ssize_t count = ::read(fd, buffer.data(), buffer.size());
	if (count < 0) {
		return errno == EINTR || errno == EAGAIN;
	}
	if (output.size() < max_output_bytes) {
		output.append(buffer.data(), std::min(static_cast<std::size_t>(count), max_output_bytes - output.size()));
	}
	return count > 0;
}
} // namespace

RunResult run_program(const std::vector<std::string> &argv, const std::vector<std::string> &extra_env) {
	int ends[2];
	if (argv.empty() || ::pipe2(ends, O_CLOEXEC) < 0) {
		throw_errno("run", "cannot run a program", argv.empty() ? EINVAL : errno);
	}
	const Fd reader(ends[0]);
	Fd writer(ends[1]);
	const pid_t pid = ::fork();
	if (pid < 0) {
		throw_errno("run", cat("cannot run ", argv[0]));
	}
	if (pid == 0) {
		exec_child(argv, extra_env, writer.get());
	}
	writer.reset();
	const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
	RunResult result{0, {}};
	// A daemon started by the program may keep the pipe open: the program's own end counts, then what is already in the pipe.
	std::array<pollfd, 2> watched = {pollfd{reader.get(), POLLIN, 0}, pollfd{process.get(), POLLIN, 0}};
	for (bool open = true; open;) {
		if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) {
			break;
		}
		if (watched[0].revents != 0) {
			open = take_output(reader.get(), result.output);
		} else if (watched[1].revents != 0) {
			break;
		}
	}
	result.exit_code = wait_for(pid);
	return result;
}

void close_all_but(int one, int other) {
	unsigned next = 3;
	for (const int keep : {std::min(one, other), std::max(one, other)}) {
		if (keep < 3) {
			continue;
		}
		const unsigned number = static_cast<unsigned>(keep);
		if (number > next) {
			::syscall(SYS_close_range, next, number - 1, 0);
		}
		next = number + 1;
	}
	::syscall(SYS_close_range, next, UINT_MAX, 0);
}

} // namespace tslxc
