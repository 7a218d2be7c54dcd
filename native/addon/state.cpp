// readState: the observation of native/spec/state.hpp, for Node.
#include "../spec/state.hpp"

#include "convert.hpp"

namespace tslxc::addon {

namespace {
Napi::Value read_state(const Napi::CallbackInfo &info) {
	const Napi::Env env = info.Env();
	return guarded(env, [&]() -> Napi::Value {
		const Observation seen = observe(string_argument(info, 0));
		auto state = Napi::Object::New(env);
		state.Set("state", state_name(seen.state.state));
		state.Set("crashed", Napi::Boolean::New(env, seen.crashed));
		if (seen.init_alive) {
			state.Set("initPid", seen.state.init_pid);
		}
		if (seen.monitor_alive) {
			state.Set("monitorPid", seen.state.monitor_pid);
		}
		if (!seen.state.started_at.empty()) {
			state.Set("startedAt", seen.state.started_at);
		}
		return state;
	});
}
} // namespace

void export_state(Napi::Env env, Napi::Object exports) {
	exports.Set("readState", Napi::Function::New(env, read_state, "readState"));
}

} // namespace tslxc::addon
