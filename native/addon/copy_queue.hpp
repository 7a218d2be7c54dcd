// A bounded queue between the walker and the thread that copies file data.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace tslxc {

class CopyQueue {
public:
	CopyQueue() : worker_([this] { run(); }) {}
	~CopyQueue() {
		stop();
		if (worker_.joinable()) {
			worker_.join();
		}
	}
	CopyQueue(const CopyQueue &) = delete;
	CopyQueue &operator=(const CopyQueue &) = delete;

	/** When the queue is full the caller does the work itself, so both threads are busy. Throws what the worker met. */
	void add(std::function<void()> job) {
		{
			std::unique_lock guard(mutex_);
			rethrow();
			if (jobs_.size() < capacity) {
				jobs_.push_back(std::move(job));
				// Otherwise the worker is awake: it looks again before it waits.
				if (jobs_.size() == 1) {
					changed_.notify_one();
				}
				return;
			}
		}
		job();
	}

	/** Waits for all jobs; throws what the worker met. */
	void finish() {
		stop();
		worker_.join();
		rethrow();
	}

private:
	static constexpr std::size_t capacity = 64;

	void rethrow() {
		if (failure_) {
			std::rethrow_exception(failure_);
		}
	}

	void stop() {
		const std::lock_guard guard(mutex_);
		ended_ = true;
		changed_.notify_one();
	}

	void run() {
		for (;;) {
			std::function<void()> job;
			{
				std::unique_lock guard(mutex_);
				changed_.wait(guard, [this] { return ended_ || !jobs_.empty(); });
				if (jobs_.empty()) {
					return;
				}
				job = std::move(jobs_.front());
				jobs_.pop_front();
			}
			try {
				job();
			} catch (...) {
				const std::lock_guard guard(mutex_);
				failure_ = std::current_exception();
				jobs_.clear();
				ended_ = true;
				return;
			}
		}
	}

	std::mutex mutex_;
	std::condition_variable changed_;
	std::deque<std::function<void()>> jobs_;
	bool ended_ = false;
	std::exception_ptr failure_;
	std::thread worker_; // last: it uses the rest
};

} // namespace tslxc
