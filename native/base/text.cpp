#include "text.hpp"

#include <charconv>

namespace tslxc {

std::vector<std::string> split(std::string_view text, char separator) {
	std::vector<std::string> parts;
	std::size_t start = 0;
	for (;;) {
		const std::size_t end = text.find(separator, start);
		if (end == std::string_view::npos) {
			parts.emplace_back(text.substr(start));
			return parts;
		}
		parts.emplace_back(text.substr(start, end - start));
		start = end + 1;
	}
}

std::string join(const std::vector<std::string> &parts, std::string_view separator) {
	std::string out;
	for (std::size_t i = 0; i < parts.size(); i++) {
		if (i > 0) {
			out.append(separator);
		}
		out.append(parts[i]);
	}
	return out;
}

std::string_view trim(std::string_view text) {
	constexpr std::string_view blanks = " \t\r\n\v\f";
	const std::size_t start = text.find_first_not_of(blanks);
	if (start == std::string_view::npos) {
		return {};
	}
	return text.substr(start, text.find_last_not_of(blanks) - start + 1);
}

std::string printable(std::string_view text) {
	std::string out;
	for (std::size_t i = 0; i < text.size(); i++) {
		const auto c = static_cast<unsigned char>(text[i]);
		const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
		if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			i++;
		} else if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f)) {
			out.push_back(text[i]);
		}
	}
	return out;
}

std::optional<std::int64_t> to_int(std::string_view text) {
	std::int64_t value = 0;
	const char *end = text.data() + text.size();
	const auto result = std::from_chars(text.data(), end, value);
	if (result.ec != std::errc{} || result.ptr != end) {
		return std::nullopt;
	}
	return value;
}

} // namespace tslxc
