// Writing JSON by hand, for output and short messages. Reading is nlohmann's, in spec/.
#pragma once

#include <string>
#include <string_view>

#include "text.hpp"

namespace tslxc {

/** With quotes; as JSON.stringify escapes. Bytes that are no UTF-8 become U+FFFD. */
std::string json_quote(std::string_view text);

/** Builds one object or array: `JsonWriter w('{'); w.field("name", "web"); w.raw("pid", "12"); w.done()`. */
class JsonWriter {
public:
	explicit JsonWriter(char open) : text_(1, open) {}
	void field(std::string_view key, std::string_view value) { raw(key, json_quote(value)); }
	void raw(std::string_view key, std::string_view json) {
		separate();
		text_ += json_quote(key);
		text_ += ':';
		text_ += json;
	}
	void item(std::string_view json) {
		separate();
		text_ += json;
	}
	std::string done() { return text_ + (text_.front() == '{' ? '}' : ']'); }

private:
	void separate() {
		if (text_.size() > 1) {
			text_ += ',';
		}
	}
	std::string text_;
};

} // namespace tslxc
