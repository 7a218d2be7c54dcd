// btrfs as Promises: a transaction of the kernel may wait for the disk.
#include <fcntl.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "../base/file.hpp"
#include "btrfs_quota.hpp"
#include "btrfs_subvolume.hpp"
#include "btrfs_tree.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {
const char *name_of(btrfs::QuotaMode mode) {
	return mode == btrfs::QuotaMode::off ? "off" : mode == btrfs::QuotaMode::full ? "full" : "simple";
}

/** Work that has no value but that of `finish`. */
template <typename Value> class BtrfsJob : public Job {
public:
	using Work = std::function<Value()>;
	using Finish = std::function<Napi::Value(Napi::Env, const Value &)>;
	BtrfsJob(Napi::Env env, Work work, Finish finish) : Job(env), work_(std::move(work)), finish_(std::move(finish)) {}

private:
	void work() override { value_ = work_(); }
	Napi::Value result(Napi::Env env) override { return finish_(env, value_); }

	Work work_;
	Finish finish_;
	Value value_{};
};

template <typename Value> Napi::Value start(Napi::Env env, std::function<Value()> work, typename BtrfsJob<Value>::Finish finish) {
	return start_job<BtrfsJob<Value>>(env, std::move(work), std::move(finish));
}

Napi::Value as_boolean(Napi::Env env, const bool &value) {
	return Napi::Boolean::New(env, value);
}

Napi::Value inspect(const Napi::CallbackInfo &info) {
	const Napi::Env env = info.Env();
	return guarded(env, [&]() -> Napi::Value {
		const std::string path = string_argument(info, 0);
		const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		if (!fd || !btrfs::is_btrfs(fd.get())) {
			return env.Undefined();
		}
		struct statvfs status {};
		::fstatvfs(fd.get(), &status);
		auto result = Napi::Object::New(env);
		result.Set("fsUuid", btrfs::file_system_uuid(fd.get(), path));
		result.Set("subvolume", btrfs::is_subvolume(fd.get()));
		result.Set("readOnlyMount", (status.f_flag & ST_RDONLY) != 0);
		result.Set("quota", name_of(btrfs::quota_state(fd.get()).mode));
		return result;
	});
}

Napi::Value create(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start<bool>(
			info.Env(), [path = string_argument(info, 0)] { return btrfs::create_subvolume(path), true; }, as_boolean);
	});
}

Napi::Value snapshot(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start<bool>(
			info.Env(),
			[from = string_argument(info, 0), to = string_argument(info, 1), read_only = info[2].ToBoolean().Value()] {
				return btrfs::snapshot_subvolume(from, to, read_only), true;
			},
			as_boolean);
	});
}

Napi::Value destroy(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start<bool>(
			info.Env(), [path = string_argument(info, 0)] { return btrfs::delete_subvolume(path); }, as_boolean);
	});
}

Napi::Value enable_quota(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start<btrfs::QuotaMode>(
			info.Env(), [path = string_argument(info, 0)] { return btrfs::enable_quota(path); },
			[](Napi::Env env, const btrfs::QuotaMode &mode) -> Napi::Value { return Napi::String::New(env, name_of(mode)); });
	});
}

Napi::Value limit(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		std::optional<std::uint64_t> bytes;
		if (info[1].IsNumber()) {
			bytes = static_cast<std::uint64_t>(info[1].As<Napi::Number>().DoubleValue());
		}
		return start<bool>(
			info.Env(), [path = string_argument(info, 0), bytes] { return btrfs::set_limit(path, bytes), true; }, as_boolean);
	});
}

Napi::Value usage(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start<btrfs::Usage>(
			info.Env(), [path = string_argument(info, 0)] { return btrfs::usage_of(path); },
			[](Napi::Env env, const btrfs::Usage &usage) -> Napi::Value {
				auto result = Napi::Object::New(env);
				result.Set("quota", name_of(usage.mode));
				result.Set("exclusive", static_cast<double>(usage.exclusive));
				result.Set("referenced", static_cast<double>(usage.referenced));
				if (usage.counted) {
					result.Set("counted", static_cast<double>(*usage.counted));
				}
				if (usage.limit) {
					result.Set("limit", static_cast<double>(*usage.limit));
				}
				return result;
			});
	});
}
} // namespace

void export_btrfs(Napi::Env env, Napi::Object exports) {
	exports.Set("btrfsInspect", Napi::Function::New(env, inspect, "btrfsInspect"));
	exports.Set("btrfsCreate", Napi::Function::New(env, create, "btrfsCreate"));
	exports.Set("btrfsSnapshot", Napi::Function::New(env, snapshot, "btrfsSnapshot"));
	exports.Set("btrfsDestroy", Napi::Function::New(env, destroy, "btrfsDestroy"));
	exports.Set("btrfsEnableQuota", Napi::Function::New(env, enable_quota, "btrfsEnableQuota"));
	exports.Set("btrfsLimit", Napi::Function::New(env, limit, "btrfsLimit"));
	exports.Set("btrfsUsage", Napi::Function::New(env, usage, "btrfsUsage"));
}

} // namespace tslxc::addon
