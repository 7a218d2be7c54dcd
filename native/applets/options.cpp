#include "options.hpp"

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace tables {
#include "options.generated.inc"
} // namespace tables

namespace {
class ArgvReader {
public:
	ArgvReader(const VerbTable &table, const std::vector<std::string> &words) : table_(table), words_(words) {}

	ParsedArgv read() {
		while (next_ < words_.size() && out_.asked == Asked::nothing) {
			const std::string &word = words_[next_++];
			if (word == "--") {
				take_behind_dashes();
			} else if (word.starts_with("--")) {
				read_long(word.substr(2));
			} else if (word.size() > 1 && word[0] == '-') {
				read_cluster(word);
			} else if (table_.operands == Operands::name_then_command && (name_ || !out_.positionals.empty())) {
				out_.rest.emplace(words_.begin() + static_cast<std::ptrdiff_t>(next_ - 1), words_.end());
				next_ = words_.size();
			} else {
				out_.positionals.push_back(word);
			}
		}
		if (name_) {
			out_.positionals.insert(out_.positionals.begin(), *name_);
		}
		return std::move(out_);
	}

private:
	const VerbTable &table_;
	const std::vector<std::string> &words_;
	std::size_t next_ = 0;
	std::optional<std::string> name_;
	ParsedArgv out_;

	void take_behind_dashes() {
		const auto from = words_.begin() + static_cast<std::ptrdiff_t>(next_);
		if (table_.operands == Operands::names_and_command || table_.operands == Operands::name_then_command) {
			out_.rest.emplace(from, words_.end());
		} else {
			out_.positionals.insert(out_.positionals.end(), from, words_.end());
		}
		next_ = words_.size();
	}

	const OptionRow &find_long(const std::string &typed) {
		const OptionRow *match = nullptr;
		std::vector<std::string> matches;
		for (const OptionRow &row : table_.options) {
			if (typed == row.name) {
				return row;
			}
			if (std::string_view(row.name).starts_with(typed)) {
				match = &row;
				matches.push_back(cat("--", row.name));
			}
		}
		if (matches.size() == 1 && !typed.empty()) {
			return *match;
		}
		if (matches.size() > 1) {
			throw_error("usage", cat("option '--", typed, "' is ambiguous: ", join(matches, ", ")));
		}
		throw_error("usage", cat("unknown option '--", typed, "'"));
	}

	void read_long(const std::string &text) {
		const std::size_t equals = text.find('=');
		const OptionRow &row = find_long(text.substr(0, equals));
		if (equals != std::string::npos) {
			if (row.value == Value::none) {
				throw_error("usage", cat("option '--", row.name, "' takes no value"));
			}
			add(row, text.substr(equals + 1));
		} else {
			add(row, row.value == Value::required ? next_word(cat("--", row.name)) : std::string());
		}
	}

	void read_cluster(const std::string &word) {
		for (std::size_t at = 1; at < word.size() && out_.asked == Asked::nothing; at++) {
			const OptionRow *row = find_letter(word[at]);
			if (row == nullptr) {
				if (word[at] != '?') {
					throw_error("usage", cat("unknown option '-", word[at], "'"));
				}
				out_.asked = Asked::help_error;
			} else if (row->value == Value::none) {
				add(*row, {});
			} else {
				const std::string attached = word.substr(at + 1);
				const bool from_next = attached.empty() && row->value == Value::required;
				add(*row, from_next ? next_word(cat('-', word[at])) : attached);
				return;
			}
		}
	}

	const OptionRow *find_letter(char letter) {
		for (const OptionRow &row : table_.options) {
			if (row.letter == letter && letter != 0) {
				return &row;
			}
		}
		return nullptr;
	}

	std::string next_word(const std::string &typed) {
		if (next_ == words_.size()) {
			throw_error("usage", cat("option '", typed, "' needs a value"));
		}
		return words_[next_++];
	}

	void add(const OptionRow &row, const std::string &value) {
		const std::string_view name = row.name;
		if (name == "name") {
			name_ = value;
		} else if (name == "help") {
			out_.asked = Asked::help;
		} else if (name == "usage") {
			out_.asked = Asked::usage;
		} else if (name == "version") {
			out_.asked = Asked::version;
		} else {
			out_.flags.emplace_back(row.name, value);
		}
	}
};
} // namespace

const VerbTable *find_verb(std::string_view verb) {
	for (const VerbTable &table : tables::verbs) {
		if (verb == table.verb) {
			return &table;
		}
	}
	return nullptr;
}

ParsedArgv read_argv(const VerbTable &table, const std::vector<std::string> &words) {
	return ArgvReader(table, words).read();
}

} // namespace tslxc
