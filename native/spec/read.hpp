// Strict reading of JSON objects: every key is taken once, what is left over is an error that names its place.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "spec.hpp"

namespace tslxc {

using Json = nlohmann::ordered_json;

[[noreturn]] inline void bad_spec(const std::string &place, std::string_view reason) {
	throw_error("config", cat("cannot read spec: ", place.empty() ? "the file" : place.c_str(), " ", reason));
}

inline std::string read_text(const Json &value, const std::string &place) {
	if (!value.is_string()) {
		bad_spec(place, "is no text");
	}
	return value.get<std::string>();
}

inline bool read_bool(const Json &value, const std::string &place) {
	if (!value.is_boolean()) {
		bad_spec(place, "is neither true nor false");
	}
	return value.get<bool>();
}

template <typename T> T read_number(const Json &value, const std::string &place) {
	if (!value.is_number_integer()) {
		bad_spec(place, "is no whole number");
	}
	if (value.is_number_unsigned()) {
		const auto number = value.get<std::uint64_t>();
		if (number <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())) {
			return static_cast<T>(number);
		}
	} else if constexpr (std::is_signed_v<T>) {
		const auto number = value.get<std::int64_t>();
		if (number >= static_cast<std::int64_t>(std::numeric_limits<T>::min())) {
			return static_cast<T>(number);
		}
	}
	bad_spec(place, "is out of range");
}

template <typename F> auto read_list(const Json &value, const std::string &place, F each) {
	if (!value.is_array()) {
		bad_spec(place, "is no list");
	}
	std::vector<decltype(each(value, place))> out;
	out.reserve(value.size());
	for (std::size_t i = 0; i < value.size(); i++) {
		out.push_back(each(value[i], cat(place, "[", i, "]")));
	}
	return out;
}

inline std::vector<std::string> read_texts(const Json &value, const std::string &place) {
	return read_list(value, place, read_text);
}

/** One of the words, as its index. */
inline std::size_t read_word(const Json &value, const std::string &place, std::initializer_list<std::string_view> words) {
	const std::string text = read_text(value, place);
	std::size_t i = 0;
	for (const std::string_view word : words) {
		if (text == word) {
			return i;
		}
		i++;
	}
	bad_spec(place, cat("is '", text, "', which is unknown"));
}

inline Stamp read_stamp(const Json &value, const std::string &place) {
	if (!value.is_array() || (value.size() != 1 && value.size() != 5)) {
		bad_spec(place, "is no stamp");
	}
	Stamp stamp;
	stamp.path = read_text(value[0], place);
	stamp.absent = value.size() == 1;
	if (!stamp.absent) {
		stamp.dev = read_text(value[1], place);
		stamp.inode = read_text(value[2], place);
		stamp.size = read_number<std::int64_t>(value[3], place);
		stamp.ctime_ns = read_text(value[4], place);
	}
	return stamp;
}

class ObjectReader {
public:
	ObjectReader(const Json &value, std::string place) : value_(value), place_(std::move(place)) {
		if (!value.is_object()) {
			bad_spec(place_, "is no object");
		}
	}

	std::string place(std::string_view key) const { return place_.empty() ? std::string(key) : cat(place_, ".", key); }
	const Json *find(const char *key) {
		const auto found = value_.find(key);
		if (found == value_.end()) {
			return nullptr;
		}
		taken_.push_back(key);
		return &*found;
	}
	const Json &at(const char *key) {
		const Json *found = find(key);
		if (found == nullptr) {
			bad_spec(place(key), "is missing");
		}
		return *found;
	}
	std::string text(const char *key) { return read_text(at(key), place(key)); }
	/** "" when absent. */
	std::string optional_text(const char *key) {
		const Json *found = find(key);
		return found == nullptr ? std::string() : read_text(*found, place(key));
	}
	bool boolean(const char *key) { return read_bool(at(key), place(key)); }
	template <typename T> T number(const char *key) { return read_number<T>(at(key), place(key)); }
	template <typename T> std::optional<T> optional_number(const char *key) {
		const Json *found = find(key);
		return found == nullptr ? std::nullopt : std::optional<T>(read_number<T>(*found, place(key)));
	}
	std::vector<std::string> texts(const char *key) { return read_texts(at(key), place(key)); }
	template <typename F> auto list(const char *key, F each) { return read_list(at(key), place(key), each); }
	/** An absent key that may only be `true`. */
	bool flag(const char *key) {
		const Json *found = find(key);
		return found != nullptr && read_bool(*found, place(key));
	}
	/** Throws when a key was not taken. */
	void done() const {
		for (const auto &item : value_.items()) {
			bool known = false;
			for (const char *key : taken_) {
				known = known || item.key() == key;
			}
			if (!known) {
				bad_spec(place(item.key()), "is an unknown key");
			}
		}
	}

private:
	const Json &value_;
	std::string place_;
	std::vector<const char *> taken_;
};

} // namespace tslxc
