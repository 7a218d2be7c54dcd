#include "guest_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/file.hpp"
#include "../base/log.hpp"
#include "../base/text.hpp"

namespace tslxc {

namespace {

constexpr std::string_view begin_mark = "# BEGIN tslxc\n";
constexpr std::string_view end_mark = "# END tslxc\n";
constexpr std::size_t max_file_bytes = 1u << 20;

struct Existing {
	std::string content;
	struct stat info {};
};

/** O_NONBLOCK: a FIFO of the guest's must not hang its start. Anything but a regular file counts as absent and is replaced. */
std::optional<Existing> read_existing(const std::string &path, bool follow) {
	const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW)));
	Existing existing;
	if (!fd || ::fstat(fd.get(), &existing.info) < 0 || !S_ISREG(existing.info.st_mode)) {
		return std::nullopt;
	}
	existing.content = read_all(fd.get(), path, max_file_bytes);
	return existing;
}

void make_parents(const std::string &path) {
	for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
		if (::mkdir(path.substr(0, slash).c_str(), 0755) < 0 && errno != EEXIST) {
			throw_errno("guest-files", cat("cannot make '", path.substr(0, slash), "' in the container"));
		}
	}
}

void replace_file(const std::string &path, std::string_view content, unsigned mode, const Existing *owner) {
	const std::string what = cat("cannot write '", path, "' in the container");
	const std::string temporary = cat(path, ".tslxc-new");
	::unlink(temporary.c_str());
	const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (!fd) {
		throw_errno("guest-files", what);
	}
	write_all(fd.get(), content, what);
	if (owner != nullptr && ::fchown(fd.get(), owner->info.st_uid, owner->info.st_gid) < 0) {
		throw_errno("guest-files", what);
	}
	if (::fchmod(fd.get(), mode) < 0 || ::rename(temporary.c_str(), path.c_str()) < 0) {
		const int error_number = errno;
		::unlink(temporary.c_str());
		throw_errno("guest-files", what, error_number);
	}
}

void write_guest_file(const GuestFile &file) {
	struct stat info {};
	if (!file.only_if_dir.empty() && (::stat(file.only_if_dir.c_str(), &info) < 0 || !S_ISDIR(info.st_mode))) {
		return;
	}
	if (file.kind == GuestFile::Kind::absent) {
		if (::unlink(file.path.c_str()) < 0 && errno != ENOENT && errno != ENOTDIR) {
			throw_errno("guest-files", cat("cannot remove '", file.path, "' in the container"));
		}
		return;
	}
	const bool block = file.kind == GuestFile::Kind::block;
	const auto existing = read_existing(file.path, block);
	const std::string content = block ? with_block(existing ? existing->content : "", file.content) : file.content;
	const unsigned mode = block && existing ? existing->info.st_mode & 07777 : file.mode;
	if (existing && existing->content == content && (existing->info.st_mode & 07777) == mode) {
		return;
	}
	make_parents(file.path);
	replace_file(file.path, content, mode, block && existing ? &*existing : nullptr);
}

} // namespace

std::string with_block(std::string_view old, std::string_view content) {
	std::string block;
	if (!content.empty()) {
		block = cat(begin_mark, content, content.back() == '\n' ? "" : "\n", end_mark);
	}
	const auto begin = old.find(begin_mark);
	const auto end = begin == std::string_view::npos ? begin : old.find(end_mark, begin);
	if (end == std::string_view::npos) {
		return cat(old, old.empty() || old.back() == '\n' || block.empty() ? "" : "\n", block);
	}
	return cat(old.substr(0, begin), block, old.substr(end + end_mark.size()));
}

void write_guest_files(const std::vector<GuestFile> &files) {
	for (const GuestFile &file : files) {
		try {
			write_guest_file(file);
		} catch (const SysError &error) {
			if (error.info().error_number != EROFS) {
				throw;
			}
			log::warn("guest-files", error.info().message);
		}
	}
}

} // namespace tslxc
