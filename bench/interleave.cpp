// Times commands as whole processes, round-robin, so that what drifts on the machine falls on all alike.
//
//   interleave ROUNDS WARMUP PAUSE_MS < cases
//
// A case is a line `name <TAB> setup <TAB> command <TAB> cleanup`; setup and cleanup run by /bin/sh and are not
// timed, the command is split at spaces and run directly by posix_spawn(3). Output: a JSON array, times in µs.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

extern char **environ;

namespace {

struct Case {
	std::string name, setup, command, cleanup;
	std::vector<std::string> words;
	std::vector<double> times;
	int failures = 0;
};

std::vector<std::string> split(const std::string &text, char separator) {
	std::vector<std::string> parts;
	std::size_t start = 0;
	for (std::size_t at; (at = text.find(separator, start)) != std::string::npos; start = at + 1) {
		parts.push_back(text.substr(start, at - start));
	}
	parts.push_back(text.substr(start));
	return parts;
}

int run(const std::vector<std::string> &words, bool quiet) {
	std::vector<char *> argv;
	for (const auto &word : words) {
		argv.push_back(const_cast<char *>(word.c_str()));
	}
	argv.push_back(nullptr);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (quiet) {
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	}
	pid_t pid = 0;
	const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0) {
		std::fprintf(stderr, "cannot run %s: error %d\n", argv[0], error);
		std::exit(2);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	return status;
}

void shell(const std::string &script) {
	if (!script.empty()) {
		run({"/bin/sh", "-c", script}, true);
	}
}

double now_us() {
	timespec time{};
	clock_gettime(CLOCK_MONOTONIC, &time);
	return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

void measure(Case &item, bool count, int pause_ms) {
	shell(item.setup);
	if (pause_ms > 0) {
		usleep(static_cast<useconds_t>(pause_ms) * 1000);
	}
	const double start = now_us();
	const int status = run(item.words, true);
	const double end = now_us();
	if (count) {
		item.times.push_back(end - start);
		item.failures += status != 0;
	}
	shell(item.cleanup);
}

double at(const std::vector<double> &sorted, double share) {
	return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

} // namespace

int main(int argc, char **argv) {
	if (argc != 4) {
		std::fprintf(stderr, "usage: interleave ROUNDS WARMUP PAUSE_MS < cases\n");
		return 2;
	}
	const int rounds = std::atoi(argv[1]), warmup = std::atoi(argv[2]), pause_ms = std::atoi(argv[3]);
	std::vector<Case> cases;
	std::string text;
	char buffer[4096];
	for (ssize_t n; (n = read(0, buffer, sizeof buffer)) > 0;) {
		text.append(buffer, static_cast<std::size_t>(n));
	}
	for (const auto &line : split(text, '\n')) {
		const auto fields = split(line, '\t');
		if (fields.size() == 4) {
			cases.push_back({fields[0], fields[1], fields[2], fields[3], split(fields[2], ' '), {}, 0});
		}
	}
	for (int round = -warmup; round < rounds; ++round) {
		for (auto &item : cases) {
			measure(item, round >= 0, pause_ms);
		}
	}
	std::printf("[");
	for (std::size_t i = 0; i < cases.size(); ++i) {
		auto &times = cases[i].times;
		std::sort(times.begin(), times.end());
		std::printf("%s{\"name\":\"%s\",\"runs\":%zu,\"failures\":%d,\"median\":%.1f,\"min\":%.1f,\"p90\":%.1f}", i ? "," : "",
					cases[i].name.c_str(), times.size(), cases[i].failures, at(times, 0.5), times.front(), at(times, 0.9));
	}
	std::printf("]\n");
}
