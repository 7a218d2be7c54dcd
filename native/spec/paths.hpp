// Where things are. Everything hangs off the compiled settings and TSLXC_ROOT (a prefix for tests and trials).
#pragma once

#include <string>

namespace tslxc {

/** `<root>` is $TSLXC_ROOT or empty; settings come from `<root>/run/tslxc/settings.json`. */
struct Paths {
	std::string root;
	std::string lxcpath;	 // /var/lib/tslxc, or what settings, or -P say
	std::string run_base;	 // <root>/run/tslxc
	std::string run_lxcpath; // <run_base>/<st_dev>-<st_ino of lxcpath>
	std::string container_dir(const std::string &name) const;
	std::string run_dir(const std::string &name) const;
	std::string lock_file(const std::string &name) const;
};

/** The directory of the installation or checkout: bin/run.cjs, dist/, templates/, conf/ are below it. From /proc/self/exe. */
std::string install_root();
/** Content of dist/build-id, trimmed; empty when it is absent. */
std::string build_id();
/** A valid container name: 1–63 characters, letters, digits, `.` `_` `-`, not starting with `-` or `.`; throws SysError "usage" with the
 * reason. */
void check_name(const std::string &name);

} // namespace tslxc
