#include "paths.hpp"

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"

namespace tslxc {

std::string Paths::container_dir(const std::string &name) const {
	return cat(lxcpath, '/', name);
}

std::string Paths::run_dir(const std::string &name) const {
	return cat(run_lxcpath, '/', name);
}

std::string Paths::lock_file(const std::string &name) const {
	return cat(run_lxcpath, "/locks/", name);
}

std::string install_root() {
	// An upgrade may have replaced the file under a running program: the kernel then appends " (deleted)", to the name only.
	std::string path = read_link("/proc/self/exe");
	// Behind exec_protected the file is the root of a mount of its own, and argv[0] is where it came from.
	if (path == "/") {
		path = program_invocation_name;
	}
	for (int i = 0; i < 2; i++) {
		path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
	}
	return path;
}

std::string build_id() {
	const auto text = read_file_if_present(cat(install_root(), "/dist/build-id"), 4096);
	return text ? std::string(trim(*text)) : std::string();
}

namespace {
[[noreturn]] void refuse_name(const std::string &name, const char *reason) {
	throw_error("usage", cat("cannot use name '", name, "': ", reason), "use letters, digits, '.', '_' and '-', at most 63 in all");
}
} // namespace

void check_name(const std::string &name) {
	if (name.empty()) {
		refuse_name(name, "it is empty");
	}
	if (name.size() > 63) {
		refuse_name(name, "it has more than 63 characters");
	}
	if (name[0] == '-' || name[0] == '.') {
		refuse_name(name, name[0] == '-' ? "it starts with '-'" : "it starts with '.'");
	}
	for (const char c : name) {
		const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && c != '.' && c != '_' && c != '-') {
			refuse_name(name, c == '/' ? "it holds '/'" : "it holds a character that is not allowed");
		}
	}
}

} // namespace tslxc
