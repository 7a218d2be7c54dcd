// The option tables of the native verbs and what a command line becomes by them.
//
// The tables are data: applets/options.generated.inc, rendered from the oclif command classes, included by options.cpp inside
// `namespace tslxc::tables`. Its shape, one block a verb and one row for each in `verbs`, in alphabetical order:
//
//     constexpr OptionRow wait_options[] = {
//     	{"state", 's', Value::required},   // long name without dashes, letter or 0, whether it takes a value
//     	{"timeout", 't', Value::required},
//     	…the common ones: name lxcpath logfile logpriority quiet rcfile json version help usage
//     };
//     constexpr VerbTable verbs[] = {
//     	{"wait", Operands::one_name, wait_options, R"text(Usage: …)text", R"text(…the whole help…)text"},
//     };
//
// `usage` is what --usage prints, `help` what --help prints; each ends in a newline. `--help` needs a row with letter 'h', the parser
// itself knows `-?`.
//
// Semantics (the same in src/cli/getopt.ts, bound by test/fixtures/argv.json): getopt_long(3) of glibc with permutation. Clustered letters
// (-kt5), unambiguous abbreviations (--nam=web), `--opt VALUE` and `--opt=VALUE`, `-oVALUE`; an optional value is only ever attached
// (-eCAP, --elevated-privileges=CAP); the first bare `--` ends the options; `-` is an operand. With Operands::name_then_command options are
// looked for up to the first word of the command: `attach -e web -u 5 ls -n` has the options -e and -u, and the command `ls -n`.
// The first of -h, -?, --help, --usage, --version ends the reading.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tslxc {

enum class Value : char { none, required, optional };

enum class Operands : char {
	one_name,		   // NAME
	names,			   // NAME…
	names_and_command, // NAME… [-- COMMAND…]
	name_then_command, // NAME [--] [COMMAND…], where nothing behind the first word of COMMAND is ours
	name_and_states,   // NAME [STATE], for `wait`
	pattern,		   // [REGEX]; -n is no name here, there is none
};

struct OptionRow {
	const char *name;
	char letter;
	Value value;
};

struct VerbTable {
	const char *verb;
	Operands operands;
	std::span<const OptionRow> options;
	const char *usage;
	const char *help;
};

/** Nothing when the verb is not native. */
const VerbTable *find_verb(std::string_view verb);

/** What was asked for instead of doing anything. help_error is `-?`, which exits 1 as in LXC. */
enum class Asked : char { nothing, help, help_error, usage, version };

struct ParsedArgv {
	/** Long name and value in the order given; "" for those without. `name` is not among them. */
	std::vector<std::pair<std::string, std::string>> flags;
	/** The value of -n, then the operands. */
	std::vector<std::string> positionals;
	/** What comes behind `--`, or the command. */
	std::optional<std::vector<std::string>> rest;
	/** Reading stops here. */
	Asked asked = Asked::nothing;
};

/** `words` are the arguments behind the verb. Throws SysError "usage" on an unknown or ambiguous option, a missing or unwanted value. */
ParsedArgv read_argv(const VerbTable &table, const std::vector<std::string> &words);

} // namespace tslxc
