#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <optional>

#include "../base/text.hpp"
#include "../container/pty.hpp"
#include "../monitor/client.hpp"
#include "../spec/state.hpp"
#include "applets.hpp"

namespace tslxc {

namespace {

/** `^x` or `x`: the control character of a letter or of @ [ \ ] ^ _. */
int read_escape(const std::string &text) {
	char key = text.size() == 2 && text[0] == '^' ? text[1] : text.size() == 1 ? text[0] : '\0';
	key = key >= 'a' && key <= 'z' ? static_cast<char>(key - 'a' + 'A') : key;
	if (key < '@' || key > '_') {
		throw_error("usage", cat("cannot use '", text, "' as the escape prefix: it is neither ^x nor x"), "try -e ^b");
	}
	return key & 0x1f;
}

std::string escape_name(int escape) {
	char key = static_cast<char>(escape | 0x40);
	return cat("Ctrl+", key >= 'A' && key <= 'Z' ? static_cast<char>(key - 'A' + 'a') : key);
}

void announce(const Invocation &invocation, const ConsoleGrant &grant, int escape) {
	if (invocation.quiet) {
		return;
	}
	auto key = escape_name(escape);
	auto text = cat("\nConnected to tty ", grant.tty, "\nType <", key, " q> to exit the console, <", key, " ", key, "> to enter ", key,
					" itself\n");
	print(text);
}

} // namespace

int console_applet(const Invocation &invocation) {
	const auto &name = invocation.name();
	auto run_dir = invocation.paths.run_dir(name);
	int escape = read_escape(invocation.value("escape").value_or("^a"));
	if (const auto seen = observe(run_dir); !seen.init_alive) {
		require_defined(invocation, name);
		throw_not_running(invocation, name, seen.state);
	}
	auto grant = request_console(run_dir, static_cast<int>(invocation.number("tty", -1).value_or(-1)));
	announce(invocation, grant, escape);
	::fcntl(grant.terminal.get(), F_SETFL, O_RDWR | O_NONBLOCK);
	auto block = bridge_signals();
	::sigprocmask(SIG_BLOCK, &block, nullptr);
	bool keyboard_is_terminal = ::isatty(0) == 1;
	Fd keyboard = keyboard_is_terminal ? reopen_terminal(0, O_RDONLY) : Fd(::dup(0));
	Fd screen = ::isatty(1) == 1 ? reopen_terminal(1, O_WRONLY) : Fd(::dup(1));
	std::optional<RawTerminal> mode;
	if (keyboard_is_terminal) {
		mode.emplace(0);
		mode->enter();
		copy_window_size(0, grant.screen.get());
	}
	Bridge bridge;
	bridge.keyboard = keyboard.get();
	bridge.screen = screen.get();
	bridge.master = grant.terminal.get();
	bridge.follower = grant.screen.get();
	bridge.session = grant.session.get();
	bridge.escape = escape;
	bridge.window = keyboard_is_terminal ? 0 : 1;
	bridge.mode = mode ? &*mode : nullptr;
	// A getty waits for a line before it says anything to who comes later: an empty one brings its prompt.
	[[maybe_unused]] auto ignored = ::write(grant.terminal.get(), "\n", 1);
	auto end = run_bridge(bridge);
	mode.reset();
	print("\n");
	return end.why == BridgeEnd::Why::signalled ? 128 + end.signal : 0;
}

} // namespace tslxc
