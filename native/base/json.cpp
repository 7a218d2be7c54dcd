#include "json.hpp"

#include <cstdio>

namespace tslxc {

namespace {
/** Length of the UTF-8 sequence at the start of text, 0: none. */
std::size_t sequence_length(std::string_view text) {
	const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
	const unsigned char first = byte(0);
	const std::size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	if (length == 0 || length > text.size()) {
		return 0;
	}
	for (std::size_t i = 1; i < length; i++) {
		if ((byte(i) & 0xc0) != 0x80) {
			return 0;
		}
	}
	// Overlong forms, surrogates, beyond U+10FFFF.
	const bool wrong = length > 2 && ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
									  (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f));
	return wrong ? 0 : length;
}

void append_escaped(std::string &out, char c) {
	switch (c) {
	case '"':
		out += "\\\"";
		return;
	case '\\':
		out += "\\\\";
		return;
	case '\n':
		out += "\\n";
		return;
	case '\t':
		out += "\\t";
		return;
	case '\r':
		out += "\\r";
		return;
	case '\b':
		out += "\\b";
		return;
	case '\f':
		out += "\\f";
		return;
	default:
		if (static_cast<unsigned char>(c) < 0x20) {
			char text[8];
			std::snprintf(text, sizeof(text), "\\u%04x", static_cast<unsigned>(c));
			out += text;
		} else {
			out += c;
		}
	}
}
} // namespace

std::string json_quote(std::string_view text) {
	std::string out = "\"";
	while (!text.empty()) {
		const std::size_t length = sequence_length(text);
		if (length == 1) {
			append_escaped(out, text[0]);
		} else if (length == 0) {
			out += "\xef\xbf\xbd";
		} else {
			out += text.substr(0, length);
		}
		text.remove_prefix(length == 0 ? 1 : length);
	}
	return out + '"';
}

} // namespace tslxc
