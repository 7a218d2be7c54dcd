#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "../base/fd.hpp"
#include "../base/file.hpp"
#include "../base/json.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../spec/message.hpp"
#include "applets.hpp"

namespace tslxc {

namespace {
struct Job {
	pid_t pid = 0;
	Fd result; // memory file with what --json prints
	int exit_code = 0;
};

/** `{"error":{…}}`, with the name in front when there are several. */
std::string failure_json(const Invocation &invocation, const std::string &name, const ErrorInfo &error) {
	JsonWriter out('{');
	if (invocation.names.size() > 1) {
		out.field("name", name);
	}
	out.raw("error", write_error(error));
	return out.done();
}

int run_one(const Invocation &invocation, const std::string &name, ForOne for_one, std::string &json) {
	ErrorInfo failure;
	try {
		return for_one(invocation, name, json);
	} catch (const SysError &error) {
		failure = error.info();
	} catch (const std::exception &error) {
		failure.code = "internal";
		failure.message = cat("cannot ", invocation.verb, " '", name, "': ", error.what());
	}
	if (invocation.json) {
		json = failure_json(invocation, name, failure);
		return failure.exit_code;
	}
	return report(invocation, failure);
}

Job start_job(const Invocation &invocation, const std::string &name, ForOne for_one) {
	Job job;
	job.result = Fd(::memfd_create("result", MFD_CLOEXEC));
	job.pid = ::fork();
	if (job.pid < 0 || !job.result) {
		throw_errno("fork", cat("cannot ", invocation.verb, " '", name, "'"));
	}
	if (job.pid == 0) {
		std::string json;
		const int code = run_one(invocation, name, for_one, json);
		[[maybe_unused]] const ssize_t ignored = ::write(job.result.get(), json.data(), json.size());
		::_exit(code);
	}
	return job;
}

std::size_t core_count() {
	cpu_set_t allowed;
	return ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? static_cast<std::size_t>(CPU_COUNT(&allowed)) : 1;
}

/** Waits for the next of the running jobs. */
void reap_one(std::vector<Job> &jobs) {
	int status = 0;
	const pid_t pid = TEMP_FAILURE_RETRY(::waitpid(-1, &status, 0));
	for (Job &job : jobs) {
		if (job.pid == pid) {
			job.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		}
	}
}

std::vector<Job> run_jobs(const Invocation &invocation, ForOne for_one) {
	std::vector<Job> jobs;
	const std::size_t most = std::max<std::size_t>(core_count(), 1);
	for (std::size_t i = 0; i < invocation.names.size(); i++) {
		if (i >= most) {
			reap_one(jobs);
		}
		jobs.push_back(start_job(invocation, invocation.names[i], for_one));
	}
	for (std::size_t left = std::min(most, jobs.size()); left > 0; left--) {
		reap_one(jobs);
	}
	return jobs;
}

int worse(int left, int right) {
	const auto rank = [](int code) { return code == 0 ? 0 : code == 2 ? 1 : 2; };
	return rank(right) > rank(left) ? right : left;
}
} // namespace

int for_each_name(const Invocation &invocation, ForOne for_one) {
	if (invocation.names.size() == 1) {
		std::string json;
		const int code = run_one(invocation, invocation.name(), for_one, json);
		if (invocation.json) {
			print(json + '\n');
		}
		return code;
	}
	JsonWriter all('[');
	int code = 0;
	for (const Job &job : run_jobs(invocation, for_one)) {
		code = worse(code, job.exit_code);
		if (invocation.json) {
			::lseek(job.result.get(), 0, SEEK_SET);
			const std::string json = read_all(job.result.get(), "a result");
			all.item(json.empty() ? "null" : json);
		}
	}
	if (invocation.json) {
		print(all.done() + '\n');
	}
	return code;
}

} // namespace tslxc
