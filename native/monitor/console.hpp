// The container's /dev/console on the monitor's side: always read, so that no write of the guest's blocks, and kept, logged, shown.
#pragma once

#include <poll.h>
#include <termios.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

class Console {
public:
	/** Opens the log file (appending) and the device of console.path; throws SysError. */
	void configure(const ConsolePlan &plan);
	/** The caller's stdin and stdout from now on; a terminal is made raw until the end. */
	void show_on_terminal();
	/** Gives the terminal its old mode back. */
	void leave_terminal();
	/** The master of a launch; an empty one: no console. */
	void attach(Fd master);
	/** What another process of the same monitor had: master, last lines, ring. */
	void take_over(Fd master, const std::string &tail, const std::string &ring);
	const Fd &master() const { return master_; }
	void detach();
	bool present() const { return static_cast<bool>(master_); }
	/** Hands the size of the caller's terminal on. SIGWINCH */
	void resize();

	/** A client of its own: a stream to talk over and a duplicate of the master for the window size. */
	std::pair<Fd, Fd> open_client();
	void close_client() { client_.reset(); }
	bool has_client() const { return static_cast<bool>(client_); }

	void add_to_poll(std::vector<pollfd> &watched);
	/** The answers to what add_to_poll added, in the same order. */
	void handle(const pollfd *answers);
	/** Reads what is there without waiting. */
	void drain();

	/** The ring buffer's last max_bytes; 0: all. */
	std::string ring(std::uint64_t max_bytes) const;
	void clear_ring();
	/** The last lines, at most about 1 KiB, control characters taken out. */
	std::string tail() const;

	~Console();

private:
	void read_master();
	void keep(std::string_view text);
	void write_log(std::string_view text);
	void rotate_log();
	void take_input(Fd &from);
	void flush_input();
	void flush_output();
	void reopen_slave();

	Fd master_, slave_;
	Fd input_, output_; // the terminal, or console.path
	Fd client_;
	std::string pending_input_, pending_output_;
	std::optional<termios> saved_mode_;
	std::string log_path_;
	Fd log_;
	bool rotate_ = false;
	std::uint64_t log_limit_ = 0, log_size_ = 0, ring_limit_ = 0;
	std::string ring_;
	std::size_t ring_next_ = 0;
	std::string tail_;
};

} // namespace tslxc
