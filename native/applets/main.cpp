// The multi-call entry: native verbs here, everything else by Node.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"
#include "../monitor/monitor.hpp"
#include "../spec/settings.hpp"
#include "applets.hpp"
#include "node.hpp"

using namespace tslxc;

namespace {
using Applet = int (*)(const Invocation &);

Applet find_applet(std::string_view verb) {
	static constexpr std::pair<std::string_view, Applet> applets[] = {
		{"attach", attach_applet}, {"console", console_applet}, {"start", start_applet},
		{"stop", stop_applet},	   {"freeze", freeze_applet},	{"unfreeze", unfreeze_applet},
		{"wait", wait_applet},	   {"info", info_applet},		{"ls", ls_applet},
	};
	for (const auto &[name, applet] : applets) {
		if (name == verb) {
			return applet;
		}
	}
	return nullptr;
}

/** A program that opens a file as descriptor 1 would write its output there. */
void open_standard_streams() {
	for (int fd = 0; fd < 3; fd++) {
		if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) {
			::_exit(1);
		}
	}
}

std::string package_version() {
	const std::string text = read_file(install_root() + "/package.json");
	const std::size_t key = text.find("\"version\"");
	const std::size_t start = key == std::string::npos ? key : text.find('"', text.find(':', key));
	return start == std::string::npos ? "" : text.substr(start + 1, text.find('"', start + 1) - start - 1);
}

int answer(const VerbTable &table, Asked asked) {
	if (asked == Asked::version) {
		print(package_version() + '\n');
		return 0;
	}
	write_all(STDERR_FILENO, asked == Asked::usage ? table.usage : table.help, "standard error");
	return asked == Asked::help_error ? 1 : 0;
}

/** settings.json, made anew by Node when it is stale. Without Node the built-in ones hold, unless somebody has written others. */
Settings load_settings(const std::string &root) {
	const std::string file = root + "/run/tslxc/settings.json";
	const std::string build = build_id();
	for (int attempt = 0;; attempt++) {
		const auto text = read_file_if_present(file);
		const auto settings = text ? parse_settings(*text) : std::nullopt;
		StampCache seen;
		if (settings && !is_stale(SpecHead{settings->build, {}, settings->stamps}, build, seen)) {
			return *settings;
		}
		if (attempt > 0) {
			break;
		}
		try {
			compile_settings();
		} catch (const SysError &error) {
			if (exists(root + "/etc/tslxc/tslxc.yaml")) {
				throw;
			}
			log::info("settings", error.what());
			break;
		}
	}
	return default_settings(root);
}

void set_up_log(const Invocation &invocation, const Settings &settings) {
	log::Level level = log::Level::error;
	const auto chosen = invocation.value("logpriority");
	if (!log::parse_level(chosen.value_or(settings.log_level), level)) {
		throw_error("usage", cat("unknown log priority '", chosen.value_or(settings.log_level), "'"),
					"one of FATAL ALERT CRIT ERROR WARN NOTICE INFO DEBUG TRACE");
	}
	log::set_level(level);
	log::set_quiet(invocation.quiet);
	log::set_container(invocation.names.size() == 1 ? invocation.name() : "");
	log::set_file(invocation.value("logfile").value_or("none"));
}

std::string help_hint(const VerbTable &table) {
	return cat("run 'tslxc ", table.verb, " --help'");
}

ParsedArgv read_words(const VerbTable &table, const std::vector<std::string> &words) {
	try {
		return read_argv(table, words);
	} catch (SysError &error) {
		error.info().hint = help_hint(table);
		throw;
	}
}

/** Sorts the operands into names and the rest. */
void take_operands(Invocation &invocation, const VerbTable &table, const ParsedArgv &argv) {
	const auto &words = argv.positionals;
	std::size_t most = 1;
	if (table.operands == Operands::names || table.operands == Operands::names_and_command) {
		most = words.size();
	} else if (table.operands == Operands::name_and_states) {
		most = 2;
	}
	if (words.size() > most) {
		throw_error("usage", cat("unexpected word '", words[most], "'"), help_hint(table));
	}
	invocation.rest = argv.rest.value_or(std::vector<std::string>{});
	if (table.operands == Operands::pattern) {
		invocation.rest = words;
		return;
	}
	if (words.empty()) {
		throw_error("usage", "no container name was given", help_hint(table));
	}
	invocation.names = words;
	if (table.operands == Operands::name_and_states && words.size() == 2) {
		invocation.rest = {words[1]};
		invocation.names.pop_back();
	}
	std::vector<std::string> once;
	for (const std::string &name : invocation.names) {
		check_name(name);
		if (std::find(once.begin(), once.end(), name) == once.end()) {
			once.push_back(name);
		}
	}
	invocation.names = once;
}

std::string absolute(const std::string &path) {
	return path.starts_with('/') ? path : cat(read_link("/proc/self/cwd"), '/', path);
}

void take_places(Invocation &invocation) {
	const char *prefix = ::getenv("TSLXC_ROOT");
	std::string root = prefix == nullptr ? "" : prefix;
	while (root.ends_with('/')) {
		root.pop_back();
	}
	const Settings settings = load_settings(root);
	set_up_log(invocation, settings);
	const auto chosen = invocation.value("lxcpath");
	invocation.paths = make_paths(root, chosen ? absolute(*chosen) : settings.lxcpath);
	const auto patience = invocation.number("lock-timeout", 0);
	invocation.lock_timeout_ms = static_cast<int>(patience.value_or(30) * 1000);
}

int run_native(Invocation &invocation, const VerbTable &table, const std::vector<std::string> &words) {
	const ParsedArgv argv = read_words(table, words);
	if (argv.asked != Asked::nothing) {
		return answer(table, argv.asked);
	}
	invocation.flags = argv.flags;
	invocation.json = invocation.has("json");
	invocation.quiet = invocation.has("quiet");
	take_operands(invocation, table, argv);
	if (::geteuid() != 0) {
		throw_error("permission", cat("cannot run 'tslxc ", table.verb, "': it needs root"),
					cat("run 'sudo tslxc ", table.verb, words.empty() ? "" : " ", join(words, " "), "'"));
	}
	take_places(invocation);
	return find_applet(table.verb)(invocation);
}

int run(Invocation &invocation, const std::vector<std::string> &words) {
	// Errors of the command line itself are told as it asked for.
	const auto end = std::find(words.begin(), words.end(), "--");
	invocation.json = std::find(words.begin(), end, "--json") != end;
	try {
		const VerbTable *table = find_verb(invocation.verb);
		if (table == nullptr || find_applet(invocation.verb) == nullptr) {
			std::vector<std::string> all = words;
			if (!invocation.verb.empty()) {
				all.insert(all.begin(), invocation.verb);
			}
			exec_node(all);
		}
		return run_native(invocation, *table, words);
	} catch (const SysError &error) {
		return report(invocation, error.info());
	} catch (const std::exception &error) {
		ErrorInfo info;
		info.code = "internal";
		info.message = error.what();
		return report(invocation, info);
	}
}
} // namespace

int main(int argc, char **argv) {
	open_standard_streams();
	::umask(022);
	Invocation invocation;
	std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
	if (!words.empty() && (words[0] == resume_monitor_word || words[0] == wait_as_monitor_word)) {
		resume_monitor(words);
	}
	const char *slash = argc > 0 ? std::strrchr(argv[0], '/') : nullptr;
	const std::string program = argc > 0 ? (slash == nullptr ? argv[0] : slash + 1) : "tslxc";
	if (program.starts_with("tslxc-")) {
		invocation.verb = program.substr(6);
	} else if (!words.empty() && !words[0].starts_with('-')) {
		invocation.verb = words[0];
		words.erase(words.begin());
	}
	return run(invocation, words);
}
