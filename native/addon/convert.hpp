// The addon boundary: the one place where SysError becomes a JavaScript Error, and where values cross.
#pragma once

#include <napi.h>

#include <cstdint>
#include <exception>
#include <new>
#include <string>

#include "../base/error.hpp"

namespace tslxc::addon {

/** An Error with the fields of ErrorInfo that are set: code, message, hint, step, errno. */
Napi::Error to_js_error(Napi::Env env, const ErrorInfo &info);

/** Runs a synchronous call; whatever it throws arrives in JavaScript as an Error. */
template <typename Call> auto guarded(Napi::Env env, Call call) -> decltype(call()) {
	try {
		return call();
	} catch (const SysError &error) {
		throw to_js_error(env, error.info());
	} catch (const std::bad_alloc &) {
		throw to_js_error(env, ErrorInfo{.code = "native", .message = "cannot go on: out of memory", .hint = "", .step = ""});
	}
}

/** A Promise for work in libuv's pool. `Work` runs there without JavaScript; `Finish` makes its value on the main thread. */
class Job : public Napi::AsyncWorker {
public:
	explicit Job(Napi::Env env) : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)) {}
	Napi::Promise promise() const { return deferred_.Promise(); }

protected:
	virtual void work() = 0;
	virtual Napi::Value result(Napi::Env env) = 0;

private:
	void Execute() override {
		try {
			work();
		} catch (const SysError &error) {
			error_ = error.info();
			SetError(error_.message);
		} catch (const std::exception &error) {
			error_.message = error.what();
			SetError(error_.message);
		}
	}
	void OnOK() override { deferred_.Resolve(result(Env())); }
	void OnError(const Napi::Error &) override { deferred_.Reject(to_js_error(Env(), error_).Value()); }

	Napi::Promise::Deferred deferred_;
	ErrorInfo error_;
};

/** Puts a job to work; it deletes itself. */
template <typename JobType, typename... Args> Napi::Value start_job(Napi::Env env, Args &&...args) {
	// AsyncWorker owns itself from Queue() on and deletes itself when it is done.
	auto *job = new JobType(env, std::forward<Args>(args)...);
	const Napi::Promise promise = job->promise();
	job->Queue();
	return promise;
}

std::string string_argument(const Napi::CallbackInfo &info, std::size_t index);
std::uint32_t uint_argument(const Napi::CallbackInfo &info, std::size_t index);

void export_btrfs(Napi::Env env, Napi::Object exports);
void export_grow(Napi::Env env, Napi::Object exports);
void export_locks(Napi::Env env, Napi::Object exports);
void export_state(Napi::Env env, Napi::Object exports);
void export_rootfs_dir(Napi::Env env, Napi::Object exports);
void export_trees(Napi::Env env, Napi::Object exports);
void export_quota(Napi::Env env, Napi::Object exports);
void export_shift(Napi::Env env, Napi::Object exports);
void export_mounts(Napi::Env env, Napi::Object exports);
void export_seccomp(Napi::Env env, Napi::Object exports);

} // namespace tslxc::addon
