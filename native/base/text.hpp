// Joining, splitting and parsing of short texts. g++ 12 has no <format>; cat() is enough.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tslxc {

namespace text_detail {
inline void append(std::string &out, std::string_view part) {
	out.append(part);
}
inline void append(std::string &out, const char *part) {
	out.append(part);
}
inline void append(std::string &out, char part) {
	out.push_back(part);
}
template <typename T>
	requires std::is_arithmetic_v<T>
void append(std::string &out, T part) {
	out.append(std::to_string(part));
}
} // namespace text_detail

/** Concatenates strings, characters and numbers. */
template <typename... Parts> std::string cat(const Parts &...parts) {
	std::string out;
	(text_detail::append(out, parts), ...);
	return out;
}

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string> &parts, std::string_view separator);
std::string_view trim(std::string_view text);
/** Without what a terminal may take for an order (C0, DEL, C1 in UTF-8) but newline and tab: part of the text may be a guest's. ECMA-48 */
std::string printable(std::string_view text);
/** The whole text as a decimal number, or nothing. */
std::optional<std::int64_t> to_int(std::string_view text);

} // namespace tslxc
