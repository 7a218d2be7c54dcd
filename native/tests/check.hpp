// The smallest test runner that does: TEST(name) { CHECK(x); CHECK_EQUAL(a, b); CHECK_THROWS(expression, "part of the message"); }
#pragma once

#include <cstdio>
#include <string>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc::testing {

using Body = void (*)();
/** Called before main by TEST; the order is that of the linker. */
bool add(const char *name, Body body);
/** Ends the running test. */
[[noreturn]] void fail(const char *file, int line, const std::string &message);

template <typename A, typename B> void check_equal(const char *file, int line, const char *text, const A &actual, const B &expected) {
	if (!(actual == expected)) {
		fail(file, line, cat(text, ": got '", actual, "', expected '", expected, "'"));
	}
}

} // namespace tslxc::testing

#define TEST(name)                                                                                                                         \
	static void test_##name();                                                                                                             \
	[[maybe_unused]] static const bool added_##name = tslxc::testing::add(#name, test_##name);                                             \
	static void test_##name()
#define CHECK(condition)                                                                                                                   \
	do {                                                                                                                                   \
		if (!(condition)) {                                                                                                                \
			tslxc::testing::fail(__FILE__, __LINE__, #condition);                                                                          \
		}                                                                                                                                  \
	} while (false)
#define CHECK_EQUAL(actual, expected) tslxc::testing::check_equal(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_THROWS(expression, part)                                                                                                     \
	do {                                                                                                                                   \
		bool threw = false;                                                                                                                \
		try {                                                                                                                              \
			static_cast<void>(expression);                                                                                                 \
		} catch (const tslxc::SysError &error) {                                                                                           \
			threw = true;                                                                                                                  \
			if (error.info().message.find(part) == std::string::npos) {                                                                    \
				tslxc::testing::fail(__FILE__, __LINE__, tslxc::cat("message '", error.info().message, "' lacks '", part, "'"));           \
			}                                                                                                                              \
		}                                                                                                                                  \
		if (!threw) {                                                                                                                      \
			tslxc::testing::fail(__FILE__, __LINE__, #expression " did not throw");                                                        \
		}                                                                                                                                  \
	} while (false)
