#include <cstring>
#include <exception>
#include <vector>

#include "check.hpp"

namespace tslxc::testing {

namespace {
struct Test {
	const char *name;
	Body body;
};

std::vector<Test> &tests() {
	static std::vector<Test> all;
	return all;
}

struct Failure {
	std::string text;
};

bool passes(const Test &test) {
	try {
		test.body();
		return true;
	} catch (const Failure &failure) {
		std::printf("FAIL %s\n  %s\n", test.name, failure.text.c_str());
	} catch (const std::exception &error) {
		std::printf("FAIL %s\n  threw: %s\n", test.name, error.what());
	}
	return false;
}
} // namespace

bool add(const char *name, Body body) {
	tests().push_back({name, body});
	return true;
}

void fail(const char *file, int line, const std::string &message) {
	throw Failure{cat(file, ":", line, ": ", message)};
}

} // namespace tslxc::testing

/** `native_tests [PART]…` runs those whose name holds a part; all without. */
int main(int argc, char **argv) {
	int passed = 0;
	int failed = 0;
	for (const auto &test : tslxc::testing::tests()) {
		bool chosen = argc < 2;
		for (int i = 1; i < argc; i++) {
			chosen = chosen || std::strstr(test.name, argv[i]) != nullptr;
		}
		if (chosen) {
			++(tslxc::testing::passes(test) ? passed : failed);
		}
	}
	std::printf("%d passed, %d failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
