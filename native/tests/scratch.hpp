// A directory that goes with the test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tslxc::testing {

class Scratch {
public:
	Scratch() {
		std::string pattern = (std::filesystem::temp_directory_path() / "tslxc-native-XXXXXX").string();
		if (::mkdtemp(pattern.data()) != nullptr) {
			path = pattern;
		}
	}
	Scratch(const Scratch &) = delete;
	Scratch &operator=(const Scratch &) = delete;
	~Scratch() {
		std::error_code ignored;
		if (!path.empty()) {
			std::filesystem::remove_all(path, ignored);
		}
	}

	std::string path;
};

} // namespace tslxc::testing
