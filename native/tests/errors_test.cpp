// What a user is told, the same from both sides.
#include <filesystem>

#include <nlohmann/json.hpp>

#include "../applets/applets.hpp"
#include "../base/file.hpp"
#include "../spec/message.hpp"
#include "check.hpp"

using namespace tslxc;

TEST(errors_read_as_from_node) {
	const auto program = std::filesystem::read_symlink("/proc/self/exe"); // native/build/Release/native_tests
	const auto cases = nlohmann::ordered_json::parse(read_file((program.parent_path() / "../../../test/fixtures/errors.json").string()));
	CHECK(!cases.empty());
	for (const auto &one : cases) {
		const auto errors = find_error_lines(cat("{\"error\":", one["error"].dump(), "}"));
		CHECK_EQUAL(errors.size(), 1u);
		CHECK_EQUAL(error_text(one["verb"].get<std::string>(), errors[0]), one["text"].get<std::string>());
		CHECK_EQUAL(write_error(errors[0]), one["error"].dump());
	}
}
