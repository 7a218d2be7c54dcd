// The command line as src/cli/getopt.ts reads it: one fixture for both.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "../applets/options.hpp"
#include "check.hpp"

using namespace tslxc;
using nlohmann::json;

namespace {

json fixture(const std::string &name) {
	const auto program = std::filesystem::read_symlink("/proc/self/exe"); // native/build/Release/native_tests
	std::ifstream file(program.parent_path() / "../../../test/fixtures" / name);
	return json::parse(file);
}

std::size_t name_count(const VerbTable &table, std::size_t positionals) {
	switch (table.operands) {
	case Operands::names:
	case Operands::names_and_command:
		return positionals;
	case Operands::pattern:
		return 0;
	default:
		return std::min<std::size_t>(1, positionals);
	}
}

json read(const VerbTable &table, const json &one) {
	const ParsedArgv parsed = read_argv(table, one["argv"].get<std::vector<std::string>>());
	json flags = json::array();
	for (const auto &[name, value] : parsed.flags) {
		flags.push_back(json::array({name, value}));
	}
	json names = json::array();
	json rest = json::array();
	for (std::size_t at = 0; at < parsed.positionals.size(); at++) {
		(at < name_count(table, parsed.positionals.size()) ? names : rest).push_back(parsed.positionals[at]);
	}
	for (const auto &word : parsed.rest.value_or(std::vector<std::string>{})) {
		rest.push_back(word);
	}
	return {{"flags", flags}, {"names", names}, {"rest", rest}};
}

// What a bare option with an optional value means is for the applet to know.
json expected(const json &one) {
	json flags = one["flags"];
	const json bare = one.value("bare", json::array());
	for (auto &flag : flags) {
		if (std::find(bare.begin(), bare.end(), flag[0]) != bare.end()) {
			flag[1] = "";
		}
	}
	return {{"flags", flags}, {"names", one["names"]}, {"rest", one["rest"]}};
}

} // namespace

TEST(argv_fixture) {
	const json cases = fixture("argv.json");
	CHECK(!cases.empty());
	for (const auto &one : cases) {
		const VerbTable *table = find_verb(one["verb"].get<std::string>());
		CHECK(table != nullptr);
		if (one.contains("error")) {
			CHECK_THROWS(read_argv(*table, one["argv"].get<std::vector<std::string>>()), one["error"].get<std::string>());
		} else {
			CHECK_EQUAL(cat(one["verb"].get<std::string>(), " ", one["argv"].dump(), " ", read(*table, one).dump()),
						cat(one["verb"].get<std::string>(), " ", one["argv"].dump(), " ", expected(one).dump()));
		}
	}
}
