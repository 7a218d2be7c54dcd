#include "node.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../spec/message.hpp"

extern char **environ;

namespace tslxc {

namespace {
constexpr const char *node_hint = "install Node 20 or later and run 'npm run build', or set TSLXC_NODE";

std::string node_path() {
	const char *chosen = ::getenv("TSLXC_NODE");
	if (chosen != nullptr && *chosen != '\0') {
		return chosen;
	}
	const auto recorded = read_file_if_present(install_root() + "/dist/node-path", 4096);
	if (!recorded) {
		throw_error("host", cat("cannot run Node: ", install_root(), "/dist/node-path is absent"), "run 'npm run build'");
	}
	return std::string(trim(*recorded));
}

/** NODE_OPTIONS and its like change what a program does that knows nothing of them; NODE_EXTRA_CA_CERTS alone costs 20 ms. */
void drop_node_variables() {
	std::vector<std::string> names;
	for (char **entry = environ; *entry != nullptr; entry++) {
		if (std::strncmp(*entry, "NODE_", 5) == 0) {
			names.emplace_back(*entry, std::strcspn(*entry, "="));
		}
	}
	for (const std::string &name : names) {
		::unsetenv(name.c_str());
	}
}

[[noreturn]] void throw_node_failure(const std::string &node, int error_number) {
	throw_error("host", cat("cannot run Node at ", node, ": ", std::strerror(error_number)), node_hint);
}

std::string run_script() {
	const std::string script = install_root() + "/bin/run.cjs";
	if (!exists(script)) {
		throw_error("host", cat("cannot run Node: ", script, " is absent"), "run 'npm ci && npm run build'");
	}
	return script;
}

[[noreturn]] void exec_words(const std::string &node, const std::string &script, const std::vector<std::string> &words) {
	std::vector<char *> argv = {const_cast<char *>(node.c_str()), const_cast<char *>(script.c_str())};
	for (const std::string &word : words) {
		argv.push_back(const_cast<char *>(word.c_str()));
	}
	argv.push_back(nullptr);
	drop_node_variables();
	::execv(node.c_str(), argv.data());
	throw_node_failure(node, errno);
}

Fd memory_file(const char *name) {
	Fd fd(::memfd_create(name, MFD_CLOEXEC));
	if (!fd) {
		throw_errno("node", "cannot make a memory file");
	}
	return fd;
}

std::string content_of(int fd) {
	::lseek(fd, 0, SEEK_SET);
	return read_all(fd, "what Node wrote");
}

/** Descriptor of the result in the child, after standard error. */
constexpr int result_fd = 3;

[[noreturn]] void become_compiler(const std::string &node, const std::string &script, const std::vector<std::string> &words, int result,
								  int errors) {
	try {
		const Fd null = open_or_throw("/dev/null", O_RDWR);
		// result is moved away first: its number may be one of those that are about to be overwritten.
		const int kept = ::fcntl(result, F_DUPFD_CLOEXEC, 10);
		if (kept < 0 || ::dup2(null.get(), 0) < 0 || ::dup2(errors, 1) < 0 || ::dup2(errors, 2) < 0 || ::dup2(kept, result_fd) < 0) {
			::_exit(126);
		}
		::setenv("TSLXC_COMPILE_JSON", "1", 1);
		exec_words(node, script, words);
	} catch (const SysError &error) {
		const std::string line = cat("{\"error\":", write_error(error.info()), "}\n");
		[[maybe_unused]] const ssize_t ignored = ::write(errors, line.data(), line.size());
	}
	::_exit(1);
}

struct Compiled {
	std::string result; // what was written to result_fd
	std::vector<ErrorInfo> errors;
};

/** Runs `compile WORDS…`. */
Compiled run_compiler(std::vector<std::string> words) {
	words.insert(words.begin(), "compile");
	const std::string node = node_path();
	const std::string script = run_script();
	if (::access(node.c_str(), X_OK) < 0) {
		throw_node_failure(node, errno);
	}
	const Fd result = memory_file("result");
	const Fd errors = memory_file("errors");
	const pid_t pid = ::fork();
	if (pid < 0) {
		throw_errno("node", "cannot run Node");
	}
	if (pid == 0) {
		become_compiler(node, script, words, result.get(), errors.get());
	}
	Compiled out;
	if (wait_for(pid) == 0) {
		out.result = content_of(result.get());
		return out;
	}
	const std::string said = content_of(errors.get());
	out.errors = find_error_lines(said);
	if (out.errors.empty()) {
		throw_error("internal", cat("cannot compile the configuration: ", said.empty() ? "Node failed" : trim(said)));
	}
	return out;
}

std::string run_compiler_or_throw(std::vector<std::string> words) {
	Compiled compiled = run_compiler(std::move(words));
	if (!compiled.errors.empty()) {
		throw SysError(compiled.errors.front());
	}
	return compiled.result;
}

/** Ignores what is no digit of base64. */
std::string decode_base64(std::string_view text) {
	std::string out;
	std::uint32_t bits = 0;
	int count = 0;
	for (const char c : text) {
		const int value = c >= 'A' && c <= 'Z'	 ? c - 'A'
						  : c >= 'a' && c <= 'z' ? c - 'a' + 26
						  : c >= '0' && c <= '9' ? c - '0' + 52
						  : c == '+'			 ? 62
						  : c == '/'			 ? 63
												 : -1;
		if (value < 0) {
			continue;
		}
		bits = bits << 6 | static_cast<std::uint32_t>(value);
		count += 6;
		if (count >= 8) {
			count -= 8;
			out.push_back(static_cast<char>(bits >> count & 0xff));
		}
	}
	return out;
}
} // namespace

void exec_node(const std::vector<std::string> &words) {
	const std::string node = node_path();
	exec_words(node, run_script(), words);
}

std::vector<ErrorInfo> compile_specs(const Paths &paths, const std::vector<std::string> &names) {
	std::vector<std::string> words = {"-P", paths.lxcpath};
	words.insert(words.end(), names.begin(), names.end());
	return run_compiler(std::move(words)).errors;
}

void compile_settings() {
	run_compiler_or_throw({"--settings"});
}

CompiledSpec compile_once(const Paths &paths, const std::string &name, const std::vector<std::string> &options) {
	std::vector<std::string> words = {"-P", paths.lxcpath, "--to-fd", cat(result_fd)};
	words.insert(words.end(), options.begin(), options.end());
	words.push_back(name);
	const auto [spec, seccomp] = parse_compiled(run_compiler_or_throw(std::move(words)));
	return {spec, decode_base64(seccomp)};
}

} // namespace tslxc
