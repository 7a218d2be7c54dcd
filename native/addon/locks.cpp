// tryLock: the container lock of native/spec/locks.hpp, for Node.
#include "../spec/locks.hpp"

#include <chrono>
#include <memory>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {
Napi::Object handle_of(Napi::Env env, Fd lock) {
	auto handle = Napi::Object::New(env);
	auto held = std::make_shared<Fd>(std::move(lock));
	handle.Set("release", Napi::Function::New(
							  env, [held](const Napi::CallbackInfo &) { held->reset(); }, "release"));
	return handle;
}

/** The line `PID UNIX-SECONDS COMMAND` of the one who holds it. It may just have let go: then the line is of the past. */
Napi::Object holder_of(Napi::Env env, const std::string &path) {
	const std::string line(trim(read_file_if_present(path, 4096).value_or("")));
	const std::vector<std::string> words = split(line, ' ');
	const std::int64_t pid = words.empty() ? 0 : to_int(words[0]).value_or(0);
	const std::int64_t since = words.size() < 2 ? 0 : to_int(words[1]).value_or(0);
	const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
	auto holder = Napi::Object::New(env);
	holder.Set("pid", Napi::Number::New(env, static_cast<double>(pid)));
	holder.Set("ageSeconds", Napi::Number::New(env, since > 0 && now > since ? static_cast<double>(now - since) : 0));
	holder.Set("command", since > 0 ? line.substr(words[0].size() + words[1].size() + 2) : std::string("another command"));
	return holder;
}

Napi::Value lock_or_holder(const Napi::CallbackInfo &info) {
	const Napi::Env env = info.Env();
	return guarded(env, [&]() -> Napi::Value {
		const std::string path = string_argument(info, 0);
		std::string holder;
		Fd lock = try_lock(path, string_argument(info, 1), info[2].ToBoolean(), &holder);
		return lock ? handle_of(env, std::move(lock)) : holder_of(env, path);
	});
}
} // namespace

void export_locks(Napi::Env env, Napi::Object exports) {
	exports.Set("tryLock", Napi::Function::New(env, lock_or_holder, "tryLock"));
}

} // namespace tslxc::addon
