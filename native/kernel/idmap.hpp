#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "../spec/spec.hpp"

namespace tslxc {

/** Writes uid_map and gid_map of a process (by newuidmap/newgidmap when not root). */
void write_id_maps(pid_t pid, const std::vector<IdRange> &ranges);
/** Inside id → outside id. */
std::optional<std::uint32_t> map_id(const std::vector<IdRange> &ranges, char type, std::uint32_t inside);
std::vector<IdRange> without_root(const std::vector<IdRange> &ranges);

} // namespace tslxc
