// Small whole-file reads and writes. Everything is opened O_CLOEXEC.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fd.hpp"

namespace tslxc {

/** Reads up to max_bytes; throws SysError. */
std::string read_file(const std::string &path, std::size_t max_bytes = 16u << 20);
/** Nothing when the file is absent (ENOENT, ENOTDIR); throws on every other failure. */
std::optional<std::string> read_file_if_present(const std::string &path, std::size_t max_bytes = 16u << 20);
std::string read_all(int fd, const std::string &what, std::size_t max_bytes = 16u << 20);
/** Writes in one write(2) to an existing file (cgroup, proc); throws SysError. */
void write_file(const std::string &path, std::string_view content);
void write_all(int fd, std::string_view content, const std::string &what);
/** Writes beside and renames over. Not fsynced: for files under the run directory. */
void write_file_atomic(const std::string &path, std::string_view content, unsigned mode = 0644);
void make_dirs(const std::string &path, unsigned mode);
Fd open_or_throw(const std::string &path, int flags, unsigned mode = 0);
/** Target of a symlink; throws SysError. */
std::string read_link(const std::string &path);
bool exists(const std::string &path);

} // namespace tslxc
