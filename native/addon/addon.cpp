// The Node addon: what Node lacks, and what must have one truth with the program. It never forks, unshares or setns's:
// a Node process has many threads. (One of mount.cpp's own has a mount namespace of its own for as long as it lives.)
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {
/** SIGPWR, PWR, RTMIN+3, SIGRTMAX-1 or a number. */
std::optional<int> signal_number(std::string text) {
	std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) { return std::toupper(letter); });
	if (const auto number = to_int(text)) {
		return *number > 0 && *number <= SIGRTMAX ? std::optional<int>(static_cast<int>(*number)) : std::nullopt;
	}
	if (text.starts_with("SIG")) {
		text.erase(0, 3);
	}
	if (text.starts_with("RTMIN") || text.starts_with("RTMAX")) {
		const int base = text.starts_with("RTMIN") ? SIGRTMIN : SIGRTMAX;
		const std::string rest = text.substr(5);
		const auto offset = rest.empty() ? std::optional<std::int64_t>(0) : to_int(rest.starts_with("+") ? rest.substr(1) : rest);
		if (!offset || base + *offset < SIGRTMIN || base + *offset > SIGRTMAX) {
			return std::nullopt;
		}
		return base + static_cast<int>(*offset);
	}
	for (int number = 1; number < SIGRTMIN; number++) {
		const char *name = ::sigabbrev_np(number);
		if (name != nullptr && text == name) {
			return number;
		}
	}
	return text == "IOT" ? std::optional<int>(SIGABRT) : text == "CLD" ? std::optional<int>(SIGCHLD) : std::nullopt;
}

Napi::Value stamp_of(Napi::Env env, const std::string &path) {
	struct statx status;
	if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS, &status) < 0) {
		if (errno == ENOENT || errno == ENOTDIR) {
			return env.Undefined();
		}
		throw_errno("stat", cat("cannot look at '", path, "'"));
	}
	auto stamp = Napi::Object::New(env);
	// Decimal, as the program prints st_dev: the two compare texts.
	stamp.Set("dev", std::to_string(::gnu_dev_makedev(status.stx_dev_major, status.stx_dev_minor)));
	stamp.Set("inode", std::to_string(status.stx_ino));
	stamp.Set("size", Napi::Number::New(env, static_cast<double>(status.stx_size)));
	stamp.Set("ctimeNs", std::to_string(static_cast<std::int64_t>(status.stx_ctime.tv_sec) * 1'000'000'000 + status.stx_ctime.tv_nsec));
	stamp.Set("uid", status.stx_uid);
	stamp.Set("gid", status.stx_gid);
	stamp.Set("mode", status.stx_mode);
	return stamp;
}

Napi::Value stamp(const Napi::CallbackInfo &info) {
	const Napi::Env env = info.Env();
	return guarded(env, [&]() -> Napi::Value {
		const auto paths = info[0].As<Napi::Array>();
		auto stamps = Napi::Array::New(env, paths.Length());
		for (std::uint32_t i = 0; i < paths.Length(); i++) {
			const Napi::Value path = paths[i];
			stamps[i] = stamp_of(env, path.As<Napi::String>().Utf8Value());
		}
		return stamps;
	});
}

void sync_path(const Napi::CallbackInfo &info) {
	guarded(info.Env(), [&] {
		const std::string path = string_argument(info, 0);
		const Fd fd = open_or_throw(path, O_RDONLY);
		if (::fsync(fd.get()) < 0) {
			throw_errno("sync", cat("cannot flush '", path, "'"));
		}
	});
}
} // namespace

Napi::Error to_js_error(Napi::Env env, const ErrorInfo &info) {
	Napi::Error error = Napi::Error::New(env, info.message);
	Napi::Object fields = error.Value();
	fields.Set("code", info.code);
	if (!info.hint.empty()) {
		fields.Set("hint", info.hint);
	}
	if (!info.step.empty()) {
		fields.Set("step", info.step);
	}
	if (info.error_number != 0) {
		fields.Set("errno", info.error_number);
	}
	return error;
}

std::string string_argument(const Napi::CallbackInfo &info, std::size_t index) {
	if (!info[index].IsString()) {
		throw_error("internal", cat("cannot call the addon: argument ", index, " is no string"));
	}
	return info[index].As<Napi::String>().Utf8Value();
}

std::uint32_t uint_argument(const Napi::CallbackInfo &info, std::size_t index) {
	if (!info[index].IsNumber()) {
		throw_error("internal", cat("cannot call the addon: argument ", index, " is no number"));
	}
	return info[index].As<Napi::Number>().Uint32Value();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
	export_btrfs(env, exports);
	export_grow(env, exports);
	export_locks(env, exports);
	export_state(env, exports);
	export_rootfs_dir(env, exports);
	export_trees(env, exports);
	export_quota(env, exports);
	export_mounts(env, exports);
	export_shift(env, exports);
	export_seccomp(env, exports);
	exports.Set("stamp", Napi::Function::New(env, stamp, "stamp"));
	exports.Set("syncPath", Napi::Function::New(env, sync_path, "syncPath"));
	exports.Set("signalNumber", Napi::Function::New(
									env,
									[](const Napi::CallbackInfo &info) -> Napi::Value {
										return guarded(info.Env(), [&]() -> Napi::Value {
											const auto number = signal_number(string_argument(info, 0));
											return number ? Napi::Number::New(info.Env(), *number) : info.Env().Undefined();
										});
									},
									"signalNumber"));
	return exports;
}

} // namespace tslxc::addon

static Napi::Object init_module(Napi::Env env, Napi::Object exports) {
	return tslxc::addon::init(env, exports);
}

NODE_API_MODULE(addon, init_module)
