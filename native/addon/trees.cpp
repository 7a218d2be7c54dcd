// copyTree, removeTree and syncFileSystem as Promises.
#include <fcntl.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "../base/file.hpp"
#include "../kernel/block_mount.hpp"

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"
#include "copy_tree.hpp"
#include "remove_tree.hpp"

namespace tslxc::addon {

namespace {
class CopyJob : public Job {
public:
	CopyJob(Napi::Env env, std::string from, std::string to, const Napi::Object &options)
		: Job(env), from_(std::move(from)), to_(std::move(to)) {
		context_.shift = options.Get("shift").IsNumber() ? options.Get("shift").As<Napi::Number>().Int64Value() : 0;
		context_.reflink = !options.Get("reflink").IsBoolean() || options.Get("reflink").ToBoolean();
		context_.top_only = options.Get("topOnly").IsBoolean() && options.Get("topOnly").ToBoolean();
		if (options.Get("cancel").IsTypedArray()) {
			auto word = options.Get("cancel").As<Napi::Int32Array>();
			context_.cancel = word.Data();
			cancel_ = Napi::Persistent(Napi::Object(word)); // keeps the memory while the worker reads it
		}
	}

private:
	void work() override { copy_tree(context_, from_, to_); }
	Napi::Value result(Napi::Env env) override {
		auto totals = Napi::Object::New(env);
		totals.Set("entries", static_cast<double>(context_.totals.entries));
		totals.Set("bytes", static_cast<double>(context_.totals.bytes));
		totals.Set("reflinked", static_cast<double>(context_.totals.reflinked));
		return totals;
	}

	std::string from_, to_;
	CopyContext context_;
	Napi::ObjectReference cancel_;
};

/** The content of one file, holes and all, into another that is there. */
class CopyFileJob : public Job {
public:
	CopyFileJob(Napi::Env env, std::string from, std::string to, const Napi::Int32Array &cancel)
		: Job(env), from_(std::move(from)), to_(std::move(to)), cancel_(Napi::Persistent(Napi::Object(cancel))) {
		context_.cancel = cancel.Data();
	}

private:
	void work() override {
		const Fd from = open_or_throw(from_, O_RDONLY);
		const Fd to = open_or_throw(to_, O_WRONLY);
		struct stat status {};
		if (::fstat(from.get(), &status) < 0) {
			copy_failed(from_, errno);
		}
		check_cancelled(context_);
		copy_data(context_, from.get(), to.get(), static_cast<std::uint64_t>(status.st_size), from_);
	}
	Napi::Value result(Napi::Env env) override { return env.Undefined(); }

	std::string from_, to_;
	CopyContext context_;
	Napi::ObjectReference cancel_;
};

class RemoveJob : public Job {
public:
	RemoveJob(Napi::Env env, std::string path) : Job(env), path_(std::move(path)) {}

private:
	void work() override { remove_tree(path_); }
	Napi::Value result(Napi::Env env) override { return env.Undefined(); }

	std::string path_;
};

class SyncJob : public Job {
public:
	SyncJob(Napi::Env env, std::string path) : Job(env), path_(std::move(path)) {}

private:
	void work() override {
		const Fd fd = open_or_throw(path_, O_RDONLY | O_DIRECTORY);
		if (::syncfs(fd.get()) < 0) {
			throw_errno("sync", cat("cannot flush the file system of '", path_, "'"));
		}
	}
	Napi::Value result(Napi::Env env) override { return env.Undefined(); }

	std::string path_;
};

Napi::Value copy(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start_job<CopyJob>(info.Env(), string_argument(info, 0), string_argument(info, 1), info[2].As<Napi::Object>());
	});
}

Napi::Value copy_file(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start_job<CopyFileJob>(info.Env(), string_argument(info, 0), string_argument(info, 1), info[2].As<Napi::Int32Array>());
	});
}

Napi::Value loop_device(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&]() -> Napi::Value {
		const std::string device = loop_device_of(string_argument(info, 0));
		return device.empty() ? info.Env().Undefined() : Napi::String::New(info.Env(), device);
	});
}

void refresh_loop(const Napi::CallbackInfo &info) {
	guarded(info.Env(), [&] { refresh_loop_size(string_argument(info, 0)); });
}

Napi::Value remove(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] { return start_job<RemoveJob>(info.Env(), string_argument(info, 0)); });
}

Napi::Value sync(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] { return start_job<SyncJob>(info.Env(), string_argument(info, 0)); });
}
} // namespace

void export_trees(Napi::Env env, Napi::Object exports) {
	exports.Set("copyTree", Napi::Function::New(env, copy, "copyTree"));
	exports.Set("copyFile", Napi::Function::New(env, copy_file, "copyFile"));
	exports.Set("loopDeviceOf", Napi::Function::New(env, loop_device, "loopDeviceOf"));
	exports.Set("refreshLoopSize", Napi::Function::New(env, refresh_loop, "refreshLoopSize"));
	exports.Set("removeTree", Napi::Function::New(env, remove, "removeTree"));
	exports.Set("syncFileSystem", Napi::Function::New(env, sync, "syncFileSystem"));
}

} // namespace tslxc::addon
