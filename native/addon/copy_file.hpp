// What makes one entry the twin of another: data, owner, mode, extended attributes, times.
#pragma once

#include <linux/stat.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <utility>

#include "../base/fd.hpp"

namespace tslxc {

struct CopyTotals {
	std::atomic<std::uint64_t> entries{0}, bytes{0}, reflinked{0};
};

class CopyContext {
public:
	std::int64_t shift = 0;						   // added to every uid and gid
	bool top_only = false;						   // the top directory itself, without what is in it
	std::atomic<bool> reflink{true};			   // off after the first file system that says it can't
	const volatile std::int32_t *cancel = nullptr; // a word of JavaScript's; 1: stop
	CopyTotals totals;

	/** A failure where nothing can be thrown; the first one counts. */
	void note_failure(std::exception_ptr failure) {
		const std::lock_guard guard(mutex_);
		if (!failure_) {
			failure_ = std::move(failure);
		}
	}
	void rethrow_failure() {
		const std::lock_guard guard(mutex_);
		if (failure_) {
			std::rethrow_exception(failure_);
		}
	}

private:
	std::mutex mutex_;
	std::exception_ptr failure_;
};

/** Throws SysError "aborted". */
void check_cancelled(const CopyContext &context);
/** Throws SysError: `cannot copy '<shown>': …`. */
[[noreturn]] void copy_failed(const std::string &shown, int error_number);

/** Clones by reflink, or copies the ranges that hold data; holes stay holes. Both are open, the target empty. */
void copy_data(CopyContext &context, int from, int to, std::uint64_t size, const std::string &shown);

/** The same for a file that has no holes, with fewer calls. */
void copy_dense(CopyContext &context, int from, int to, std::uint64_t size, const std::string &shown);

/** What a descriptor is good for: calls on O_PATH go by its /proc link, which takes longer. */
enum class Handle { path, open };

/** Owner (shifted), mode, xattrs with ACLs and capabilities; not the times, which come last. */
void copy_metadata(const CopyContext &context, int from, int to, const struct statx &status, const std::string &shown, Handle handle);
/** Adds the shift to what there is, in place: owner, ACLs, capabilities. `entry` is an O_PATH descriptor. */
void shift_metadata(const CopyContext &context, int entry, const struct statx &status, const std::string &shown);
void copy_times(int to, const struct statx &status, const std::string &shown, Handle handle);

} // namespace tslxc
