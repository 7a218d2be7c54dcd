// How the native program reaches Node: by becoming it for the verbs that are not native, and as the `compile` child.
#pragma once

#include <string>
#include <vector>

#include "../base/error.hpp"
#include "../spec/paths.hpp"

namespace tslxc {

/** Replaces the process by Node with bin/run.cjs and these words. Throws SysError "host" when Node or run.cjs is absent. */
[[noreturn]] void exec_node(const std::vector<std::string> &words);

/** Has Node write spec.json and seccomp.bpf of these containers. Returns what it says is wrong, an error a broken container. */
std::vector<ErrorInfo> compile_specs(const Paths &paths, const std::vector<std::string> &names);
/** Has Node write <run_base>/settings.json. */
void compile_settings();
struct CompiledSpec {
	std::string spec;	 // JSON
	std::string seccomp; // bytes, empty: none
};
/** A spec for this start alone. `options` are those of `compile --to-fd`: --rcfile F, -s KEY=VALUE, --share-net X … */
CompiledSpec compile_once(const Paths &paths, const std::string &name, const std::vector<std::string> &options);

} // namespace tslxc
