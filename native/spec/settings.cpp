#include "settings.hpp"

#include <sys/stat.h>

#include "../base/text.hpp"
#include "read.hpp"

namespace tslxc {

namespace {
Settings read_settings(const Json &value) {
	Settings out;
	ObjectReader reader(value, "");
	if (reader.number<int>("version") != 1) {
		bad_spec("version", "is another one");
	}
	out.build = reader.text("build");
	out.stamps = reader.list("stamps", read_stamp);
	out.lxcpath = reader.text("lxcpath");
	out.log_level = reader.text("logLevel");
	const Json &values = reader.at("values");
	for (const auto &item : values.items()) {
		out.values[item.key()] = read_text(item.value(), item.key());
	}
	return out;
}
} // namespace

std::optional<Settings> parse_settings(std::string_view json) {
	const Json value = Json::parse(json, nullptr, false);
	if (value.is_discarded()) {
		return std::nullopt;
	}
	try {
		return read_settings(value);
	} catch (const SysError &) {
		return std::nullopt;
	}
}

Settings default_settings(const std::string &root) {
	Settings out;
	out.lxcpath = root + "/var/lib/tslxc";
	out.log_level = "ERROR";
	return out;
}

Paths make_paths(const std::string &root, const std::string &lxcpath) {
	Paths paths;
	paths.root = root;
	paths.lxcpath = lxcpath;
	while (paths.lxcpath.size() > 1 && paths.lxcpath.back() == '/') {
		paths.lxcpath.pop_back();
	}
	paths.run_base = root + "/run/tslxc";
	struct stat status;
	const bool there = ::stat(paths.lxcpath.c_str(), &status) == 0;
	paths.run_lxcpath = there ? cat(paths.run_base, '/', status.st_dev, '-', status.st_ino) : paths.run_base + "/none";
	return paths;
}

} // namespace tslxc
