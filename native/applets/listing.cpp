#include "listing.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "../base/error.hpp"
#include "../base/json.hpp"
#include "../base/process.hpp"
#include "../base/text.hpp"
#include "../container/network.hpp"
#include "../kernel/cgroup.hpp"

namespace tslxc {

namespace {
constexpr std::array titles = {"NAME", "STATE", "PID", "RAM", "SWAP", "AUTOSTART", "GROUPS", "INTERFACE", "IPV4", "IPV6", "UNPRIVILEGED"};

/** What must be asked of the kernel, once a row. */
struct Live {
	CgroupUsage usage;
	NetworkView network;
};

bool any_of(const std::vector<Column> &columns, std::initializer_list<Column> wanted) {
	return std::find_first_of(columns.begin(), columns.end(), wanted.begin(), wanted.end()) != columns.end();
}

Live look(const Row &row, bool usage, bool network) {
	Live out;
	const State &state = row.seen.state;
	if (state.state == RunState::stopped) {
		return out;
	}
	if (usage) {
		out.usage = read_usage(state.cgroups);
	}
	const Fd process = network ? open_process(state.init_pid, state.init_start_time) : Fd();
	if (process) {
		try {
			out.network = view_network(process.get());
		} catch (const SysError &) {
			// It ended while we looked.
		}
	}
	return out;
}

std::string megabytes(const Row &row, const std::optional<std::uint64_t> &bytes) {
	if (row.seen.state.state == RunState::stopped) {
		return {};
	}
	std::array<char, 64> text;
	std::snprintf(text.data(), text.size(), "%.2fMB", static_cast<double>(bytes.value_or(0)) / (1024 * 1024));
	return text.data();
}

std::string addresses(const std::vector<std::pair<std::string, std::string>> &list) {
	std::vector<std::string> out;
	for (const auto &[interface, address] : list) {
		out.push_back(address);
	}
	return join(out, ", ");
}

std::string cell(const Row &row, const Live &live, Column column) {
	const State &state = row.seen.state;
	switch (column) {
	case Column::name:
		return row.name;
	case Column::state:
		return state_name(state.state);
	case Column::pid:
		return state.state != RunState::stopped && state.init_pid > 0 ? cat(state.init_pid) : std::string();
	case Column::ram:
		return megabytes(row, live.usage.memory_bytes);
	case Column::swap:
		return megabytes(row, live.usage.swap_bytes);
	case Column::autostart:
		return row.listing ? (row.listing->autostart ? "1" : "0") : "";
	case Column::groups:
		return row.listing ? join(row.listing->groups, ", ") : "";
	case Column::interface:
		return join(live.network.interfaces, ", ");
	case Column::ipv4:
		return addresses(live.network.ipv4);
	case Column::ipv6:
		return addresses(live.network.ipv6);
	case Column::unprivileged:
		return row.listing ? (row.listing->unprivileged ? "true" : "false") : "";
	}
	return {};
}

std::string list_json(const std::vector<std::string> &items) {
	JsonWriter out('[');
	for (const std::string &item : items) {
		out.item(json_quote(item));
	}
	return out.done();
}

std::string addresses_json(const std::vector<std::pair<std::string, std::string>> &list) {
	JsonWriter out('[');
	for (const auto &[interface, address] : list) {
		out.item(json_quote(address));
	}
	return out.done();
}

std::string row_json(const Row &row) {
	const State &state = row.seen.state;
	JsonWriter out('{');
	out.field("name", row.name);
	out.field("state", state_name(state.state));
	out.raw("defined", row.defined ? "true" : "false");
	if (state.state != RunState::stopped) {
		const Live live = look(row, true, true);
		out.raw("pid", cat(state.init_pid));
		out.raw("ramBytes", cat(live.usage.memory_bytes.value_or(0)));
		out.raw("swapBytes", cat(live.usage.swap_bytes.value_or(0)));
		out.raw("interfaces", list_json(live.network.interfaces));
		out.raw("ipv4", addresses_json(live.network.ipv4));
		out.raw("ipv6", addresses_json(live.network.ipv6));
	}
	if (row.listing) {
		out.raw("autostart", row.listing->autostart ? "true" : "false");
		out.raw("order", cat(row.listing->order));
		out.raw("delaySeconds", cat(row.listing->delay_seconds));
		out.raw("groups", list_json(row.listing->groups));
		out.raw("unprivileged", row.listing->unprivileged ? "true" : "false");
	}
	return out.done();
}
} // namespace

std::vector<Column> read_columns(const std::optional<std::string> &text) {
	using enum Column;
	if (!text) {
		return {name, state, autostart, groups, ipv4, ipv6, unprivileged};
	}
	std::vector<Column> out;
	for (const std::string &word : split(*text, ',')) {
		const auto title = std::find_if(titles.begin(), titles.end(), [&](const char *t) { return ::strcasecmp(t, word.c_str()) == 0; });
		if (title != titles.end()) {
			out.push_back(static_cast<Column>(title - titles.begin()));
		} else if (!word.empty()) {
			throw_error("usage", cat("Invalid key: ", word), cat("one of ", join({titles.begin(), titles.end()}, " ")));
		}
	}
	return out;
}

bool need_listing(const std::vector<Column> &columns) {
	return any_of(columns, {Column::autostart, Column::groups, Column::unprivileged});
}

std::string table_text(const std::vector<Row> &rows, const std::vector<Column> &columns) {
	const bool usage = any_of(columns, {Column::ram, Column::swap});
	const bool network = any_of(columns, {Column::interface, Column::ipv4, Column::ipv6});
	std::vector<std::vector<std::string>> lines(1);
	for (const Column column : columns) {
		lines[0].push_back(titles[static_cast<std::size_t>(column)]);
	}
	for (const Row &row : rows) {
		const Live live = look(row, usage, network);
		auto &line = lines.emplace_back();
		for (const Column column : columns) {
			std::string text = cell(row, live, column);
			line.push_back(text.empty() ? "-" : std::move(text));
		}
	}
	std::vector<std::size_t> widths(columns.size());
	for (std::size_t i = 0; i < columns.size(); i++) {
		// LXC makes room for 0.00MB even where nothing runs.
		widths[i] = columns[i] == Column::ram || columns[i] == Column::swap ? 6 : 0;
	}
	for (const auto &line : lines) {
		for (std::size_t i = 0; i < line.size(); i++) {
			widths[i] = std::max(widths[i], line[i].size());
		}
	}
	std::string out;
	for (auto &line : lines) {
		for (std::size_t i = 0; i < line.size(); i++) {
			out += line[i];
			out.append(widths[i] - line[i].size() + 1, ' ');
		}
		out += '\n';
	}
	return out;
}

std::string rows_json(const std::vector<Row> &rows) {
	JsonWriter out('[');
	for (const Row &row : rows) {
		out.item(row_json(row));
	}
	return out.done() + '\n';
}

} // namespace tslxc
