// The compiled system settings, <run_base>/settings.json: where containers are, how much is logged.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "paths.hpp"
#include "spec.hpp"

namespace tslxc {

struct Settings {
	std::string build;
	std::vector<Stamp> stamps;
	std::string lxcpath;
	std::string log_level;
	/** LXC's key → what `config KEY` prints. */
	std::map<std::string, std::string> values;
};

/** Nothing when the text is no settings file of this version. */
std::optional<Settings> parse_settings(std::string_view json);
/** What holds without any tslxc.yaml. */
Settings default_settings(const std::string &root);
/** root, run_base and, when lxcpath is there, run_lxcpath (else a directory that never exists). Trailing slashes are stripped. */
Paths make_paths(const std::string &root, const std::string &lxcpath);

} // namespace tslxc
