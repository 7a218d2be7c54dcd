#include "seccomp_policy.hpp"

#include <seccomp.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "../base/error.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {
constexpr std::array<std::string_view, 20> architectures = {"all",	   "x86",	 "x86_64",	  "x32",	  "arm",		 "arm64", "mips",
															"mipsel",  "mips64", "mips64n32", "mipsel64", "mipsel64n32", "ppc",	  "ppc64",
															"ppc64le", "s390",	 "s390x",	  "riscv64",  "loongarch64", "parisc"};
constexpr unsigned max_arguments = 6;

struct Parser {
	const std::string &file;
	unsigned line = 0;

	[[noreturn]] void fail(const std::string &reason) const { throw_error("config", cat(file, ":", line, ": ", reason)); }
};

std::string lower(std::string_view text) {
	std::string out(text);
	std::transform(out.begin(), out.end(), out.begin(), [](unsigned char letter) { return std::tolower(letter); });
	return out;
}

std::string_view without_comment(std::string_view line) {
	return trim(line.substr(0, line.find('#')));
}

/** `kill`, `errno N`, `allow`, `trap`, or nothing when the text is empty. */
std::optional<std::uint32_t> parse_action(const Parser &parser, std::string_view text) {
	std::vector<std::string> words = split(trim(text), ' ');
	std::erase(words, "");
	if (words.empty()) {
		return std::nullopt;
	}
	if (words[0] == "kill") {
		return SCMP_ACT_KILL;
	}
	if (words[0] == "allow") {
		return SCMP_ACT_ALLOW;
	}
	if (words[0] == "trap") {
		return SCMP_ACT_TRAP;
	}
	if (words[0] == "errno") {
		const auto number = words.size() < 2 ? std::nullopt : to_int(words[1]);
		if (!number || *number < 0 || *number > 4095) {
			parser.fail("errno needs a number from 0 to 4095");
		}
		return SCMP_ACT_ERRNO(static_cast<std::uint32_t>(*number));
	}
	if (words[0] == "notify") {
		parser.fail("the action 'notify' is not supported");
	}
	parser.fail(cat("unknown action '", words[0], "': it is one of kill, errno N, allow, trap"));
}

std::uint64_t parse_number(const Parser &parser, const std::string &text) {
	char *end = nullptr;
	errno = 0;
	const std::uint64_t value = std::strtoull(text.c_str(), &end, 0);
	if (text.empty() || *end != '\0' || errno != 0 || text[0] == '-') {
		parser.fail(cat("'", text, "' is no number"));
	}
	return value;
}

int parse_comparison(const Parser &parser, std::string_view text) {
	constexpr std::pair<std::string_view, int> names[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
														  {"!=", SCMP_CMP_NE},
														  {"SCMP_CMP_LT", SCMP_CMP_LT},
														  {"<", SCMP_CMP_LT},
														  {"SCMP_CMP_LE", SCMP_CMP_LE},
														  {"<=", SCMP_CMP_LE},
														  {"SCMP_CMP_EQ", SCMP_CMP_EQ},
														  {"==", SCMP_CMP_EQ},
														  {"SCMP_CMP_GE", SCMP_CMP_GE},
														  {">=", SCMP_CMP_GE},
														  {"SCMP_CMP_GT", SCMP_CMP_GT},
														  {">", SCMP_CMP_GT},
														  {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
														  {"&=", SCMP_CMP_MASKED_EQ}};
	for (const auto &[name, op] : names) {
		if (name == text) {
			return op;
		}
	}
	parser.fail(cat("unknown comparison '", text, "'"));
}

/** `INDEX,VALUE,OP[,MASK]` */
SeccompArgument parse_argument(const Parser &parser, std::string_view text) {
	std::vector<std::string> parts = split(text, ',');
	for (std::string &part : parts) {
		part = std::string(trim(part));
	}
	if (parts.size() != 3 && parts.size() != 4) {
		parser.fail("an argument reads [index,value,op] or [index,value,op,mask]");
	}
	SeccompArgument argument;
	const std::uint64_t index = parse_number(parser, parts[0]);
	if (index >= max_arguments) {
		parser.fail("a system call has the arguments 0 to 5");
	}
	argument.index = static_cast<unsigned>(index);
	argument.value = parse_number(parser, parts[1]);
	argument.op = parse_comparison(parser, parts[2]);
	argument.mask = parts.size() == 4 ? parse_number(parser, parts[3]) : 0;
	return argument;
}

/** `NAME [ACTION] [[…]]…` */
SeccompRule parse_rule(const Parser &parser, std::string_view text, const std::string &arch, std::uint32_t default_action) {
	SeccompRule rule;
	rule.line = parser.line;
	rule.arch = arch;
	const std::string_view head = text.substr(0, text.find('['));
	const std::size_t space = head.find_first_of(" \t");
	rule.name = std::string(trim(head.substr(0, space)));
	rule.action = parse_action(parser, space == std::string_view::npos ? "" : head.substr(space)).value_or(default_action);
	for (std::size_t open = text.find('['); open != std::string_view::npos; open = text.find('[', open + 1)) {
		const std::size_t close = text.find(']', open);
		if (close == std::string_view::npos) {
			parser.fail("']' is missing");
		}
		rule.arguments.push_back(parse_argument(parser, text.substr(open + 1, close - open - 1)));
	}
	return rule;
}

SeccompRule reject_force_umount(const Parser &parser) {
	SeccompRule rule;
	rule.line = parser.line;
	rule.arch = "all";
	rule.name = "umount2";
	rule.action = SCMP_ACT_ERRNO(EACCES);
	rule.arguments.push_back({1, MNT_FORCE, SCMP_CMP_MASKED_EQ, MNT_FORCE});
	return rule;
}

std::string parse_section(const Parser &parser, std::string_view text) {
	const std::string name = text.back() == ']' ? lower(trim(text.substr(1, text.size() - 2))) : "";
	if (std::find(architectures.begin(), architectures.end(), name) == architectures.end()) {
		parser.fail(cat("unknown architecture '", text, "'"));
	}
	return name;
}

/** Default of what no rule names, and action of a rule that gives none. */
std::pair<std::uint32_t, std::uint32_t> parse_style(const Parser &parser, std::string_view text, bool numbers_only) {
	const std::size_t space = text.find(' ');
	const std::string_view style = text.substr(0, space);
	const bool allows = style == "allowlist" || style == "whitelist";
	const bool denies = style == "denylist" || style == "blacklist";
	if (!allows && (!denies || numbers_only)) {
		parser.fail(cat("unknown policy style '", style, "'"));
	}
	const auto chosen = parse_action(parser, space == std::string_view::npos ? "" : text.substr(space));
	return {chosen.value_or(allows ? SCMP_ACT_KILL : SCMP_ACT_ALLOW), allows ? SCMP_ACT_ALLOW : SCMP_ACT_KILL};
}

SeccompRule parse_number_rule(const Parser &parser, std::string_view text) {
	SeccompRule rule;
	rule.line = parser.line;
	rule.arch = "native";
	rule.name = std::to_string(parse_number(parser, std::string(text)));
	rule.action = SCMP_ACT_ALLOW;
	return rule;
}
} // namespace

SeccompPolicy parse_seccomp_policy(const std::string &text, const std::string &file) {
	Parser parser{file};
	const std::vector<std::string> lines = split(text, '\n');
	parser.line = 1;
	const std::string_view version = lines.empty() ? std::string_view() : without_comment(lines[0]);
	if (version != "1" && version != "2") {
		parser.fail("the first line must be the version, 1 or 2");
	}
	parser.line = 2;
	if (lines.size() < 2) {
		parser.fail("the second line must be allowlist or denylist");
	}
	SeccompPolicy policy;
	const auto [default_action, rule_action] = parse_style(parser, without_comment(lines[1]), version == "1");
	policy.default_action = default_action;
	std::string arch = "all";
	for (std::size_t i = 2; i < lines.size(); i++) {
		parser.line = static_cast<unsigned>(i) + 1;
		const std::string_view line = without_comment(lines[i]);
		if (line.empty()) {
			continue;
		}
		if (version == "1") {
			policy.rules.push_back(parse_number_rule(parser, line));
		} else if (line.front() == '[') {
			arch = parse_section(parser, line);
		} else if (line == "reject_force_umount") {
			policy.rules.push_back(reject_force_umount(parser));
		} else {
			policy.rules.push_back(parse_rule(parser, line, arch, rule_action));
		}
	}
	return policy;
}

} // namespace tslxc
