// The rows of `ls` and how they are printed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../spec/spec.hpp"
#include "../spec/state.hpp"

namespace tslxc {

struct Row {
	std::string name;
	bool defined = false;
	Observation seen;
	std::optional<Listing> listing; // absent: not asked for, or the configuration is broken
};

enum class Column : char { name, state, pid, ram, swap, autostart, groups, interface, ipv4, ipv6, unprivileged };

/** LXC's column names, comma-separated, any case; absent: those of `ls -f`. Throws SysError "usage" `Invalid key: X`. */
std::vector<Column> read_columns(const std::optional<std::string> &text);
/** Whether one of the columns comes from the configuration. */
bool need_listing(const std::vector<Column> &columns);
/** `%-*s ` a column, trailing blank included, `-` where there is nothing. */
std::string table_text(const std::vector<Row> &rows, const std::vector<Column> &columns);
std::string rows_json(const std::vector<Row> &rows);

} // namespace tslxc
