// shiftTree as a Promise: the owners of a whole tree, where no mount can translate them.
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>

#include <set>
#include <string>
#include <utility>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/text.hpp"
#include "convert.hpp"
#include "copy_file.hpp"
#include "tree_walk.hpp"

namespace tslxc::addon {

namespace {
class ShiftJob : public Job {
public:
	ShiftJob(Napi::Env env, std::string path, std::int64_t shift, const Napi::Int32Array &cancel)
		: Job(env), path_(std::move(path)), cancel_(Napi::Persistent(Napi::Object(cancel))) {
		context_.shift = shift;
		context_.cancel = cancel.Data();
	}

private:
	void work() override {
		walk_tree(path_, [this](int dir_fd, const char *name, const struct statx &status) { shift_entry(dir_fd, name, status); });
	}
	Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(entries_)); }

	void shift_entry(int dir_fd, const char *name, const struct statx &status) {
		check_cancelled(context_);
		// A file with several names is met at each of them.
		if (!S_ISDIR(status.stx_mode) && status.stx_nlink > 1 && !seen_.insert(status.stx_ino).second) {
			return;
		}
		const std::string shown = cat(path_, "/…/", name);
		const Fd entry(::openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
		if (!entry) {
			throw_errno("shift", cat("cannot open '", shown, "'"));
		}
		shift_metadata(context_, entry.get(), status, shown);
		entries_++;
	}

	std::string path_;
	CopyContext context_;
	std::set<std::uint64_t> seen_;
	std::uint64_t entries_ = 0;
	Napi::ObjectReference cancel_;
};

Napi::Value shift(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		return start_job<ShiftJob>(info.Env(), string_argument(info, 0), info[1].As<Napi::Number>().Int64Value(),
								   info[2].As<Napi::Int32Array>());
	});
}
} // namespace

void export_shift(Napi::Env env, Napi::Object exports) {
	exports.Set("shiftTree", Napi::Function::New(env, shift, "shiftTree"));
}

} // namespace tslxc::addon
