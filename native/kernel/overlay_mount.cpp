#include "overlay_mount.hpp"

#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "../base/error.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "syscalls.hpp"

namespace tslxc {

namespace {

constexpr std::size_t longest_option = 255; // fsconfig(2)
/** What is on the disk must not depend on how a kernel was configured. Directories of a lower layer can be renamed. */
constexpr const char *fixed_options = "index=off,metacopy=off";
constexpr const char *upper_options = "redirect_dir=on";

/** Descriptors of the layers, top first, and the mounts that were made for them. */
struct Layers {
	std::vector<Fd> clones; // detached mounts; empty: the layers are reached by the host's
	std::vector<Fd> lowers;
	Fd upper, work;
};

/** Short, without a character that has a meaning, and no path that a rename could change. */
std::string fd_path(const Fd &fd) {
	return cat("/proc/self/fd/", fd.get());
}

Fd open_layer(int dir_fd, const std::string &path, const std::string &shown) {
	Fd fd(::openat(dir_fd, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (!fd) {
		throw_errno("mount", cat("cannot open the overlay's layer '", shown, "'"), errno, errno == ENOENT ? cat("mkdir -p ", shown) : "");
	}
	return fd;
}

/** Of the work directory, which is made when it is missing. */
void make_work(const std::string &path) {
	if (::mkdir(path.c_str(), 0755) < 0 && errno != EEXIST) {
		throw_errno("mount", cat("cannot make the overlay's work directory '", path, "'"), errno, cat("mkdir -p ", path));
	}
}

Fd clone_layer(const std::string &path, const MountOwner &owner) {
	Fd clone = clone_tree(path, false);
	if (owner.userns_fd >= 0) {
		set_mount_idmap(clone.get(), owner.userns_fd, false);
	}
	set_mount_propagation(clone.get(), "", MS_PRIVATE, false);
	return clone;
}

/** The deepest directory that is, or holds, both. */
std::string common_parent(std::string one, std::string other) {
	one += '/';
	other += '/';
	std::size_t end = 0;
	for (std::size_t i = 0; i < std::min(one.size(), other.size()) && one[i] == other[i]; i++) {
		end = one[i] == '/' ? i : end;
	}
	return end == 0 ? "/" : one.substr(0, end);
}

std::string beneath(const std::string &parent, const std::string &path) {
	const std::size_t start = path.find_first_not_of('/', parent.size());
	return start == std::string::npos ? "." : path.substr(start);
}

/** A clone of the directory above all layers, where they are of one mount: a tenth of a millisecond for each that has one of its own.
 * Empty: it can't be idmapped. */
Fd clone_above(const MountSource &source, const MountOwner &owner, std::string &parent) {
	parent = source.lowers.front();
	for (const std::string &layer : source.lowers) {
		parent = common_parent(parent, layer);
	}
	if (!source.upper.empty()) {
		parent = common_parent(common_parent(parent, source.upper), source.work);
	}
	try {
		return clone_layer(parent, owner);
	} catch (const SysError &) {
		return {};
	}
}

/** The layer by the clone; empty where a symbolic link or another mount lies between. */
Fd open_in_clone(const Fd &clone, const std::string &parent, const std::string &path) {
	if (!clone) {
		return {};
	}
	struct open_how how {};
	how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	Fd fd(sys::openat2(clone.get(), beneath(parent, path).c_str(), &how));
	const Fd direct = open_layer(AT_FDCWD, path, path);
	struct stat seen {
	}, wanted{};
	if (!fd || ::fstat(fd.get(), &seen) < 0 || ::fstat(direct.get(), &wanted) < 0 || seen.st_dev != wanted.st_dev ||
		seen.st_ino != wanted.st_ino) {
		return {};
	}
	return fd;
}

/** Files are moved from upper to work and back: both must be of one mount. */
void open_upper(Layers &layers, const MountSource &source, const MountOwner &owner, const Fd &shared, const std::string &shared_parent) {
	layers.upper = open_in_clone(shared, shared_parent, source.upper);
	layers.work = open_in_clone(shared, shared_parent, source.work);
	if (layers.upper && layers.work) {
		return;
	}
	const std::string parent = common_parent(source.upper, source.work);
	layers.clones.push_back(clone_layer(parent, owner));
	layers.upper = open_layer(layers.clones.back().get(), beneath(parent, source.upper), source.upper);
	layers.work = open_layer(layers.clones.back().get(), beneath(parent, source.work), source.work);
}

/** By the host's own mounts. */
Layers open_plain_layers(const MountSource &source) {
	Layers layers;
	for (const std::string &lower : source.lowers) {
		layers.lowers.push_back(open_layer(AT_FDCWD, lower, lower));
	}
	if (!source.upper.empty()) {
		make_work(source.work);
		layers.upper = open_layer(AT_FDCWD, source.upper, source.upper);
		layers.work = open_layer(AT_FDCWD, source.work, source.work);
	}
	return layers;
}

Layers clone_layers(const MountSource &source, const MountOwner &owner) {
	Layers layers;
	if (!source.upper.empty()) {
		make_work(source.work);
	}
	std::string parent;
	Fd shared = clone_above(source, owner, parent);
	for (const std::string &lower : source.lowers) {
		layers.lowers.push_back(open_in_clone(shared, parent, lower));
		if (!layers.lowers.back()) {
			layers.clones.push_back(clone_layer(lower, owner));
			layers.lowers.back() = open_layer(layers.clones.back().get(), ".", lower);
		}
	}
	if (!source.upper.empty()) {
		open_upper(layers, source, owner, shared, parent);
	}
	if (shared) {
		layers.clones.push_back(std::move(shared));
	}
	return layers;
}

std::string joined_lowers(const Layers &layers) {
	std::string text;
	for (const Fd &lower : layers.lowers) {
		text += cat(text.empty() ? "" : ":", fd_path(lower));
	}
	return text;
}

/** An overlay writes with the rights of who mounted it: those of the container's root as to owners, for the layers' mounts know no others,
 *  and all capabilities, else it comes up read-only. */
class MounterCredentials {
public:
	explicit MounterCredentials(const MountOwner &owner) : changed_(owner.userns_fd >= 0 && owner.root_uid != 0) {
		if (!changed_) {
			return;
		}
		dumpable_ = ::prctl(PR_GET_DUMPABLE);
		get(capabilities_);
		::setfsgid(owner.root_gid);
		::setfsuid(owner.root_uid);
		set(capabilities_); // setfsuid(2) took those of the file system
	}
	~MounterCredentials() {
		if (changed_) {
			::setfsuid(0);
			::setfsgid(0);
			set(capabilities_);
			::prctl(PR_SET_DUMPABLE, dumpable_);
		}
	}
	MounterCredentials(const MounterCredentials &) = delete;
	MounterCredentials &operator=(const MounterCredentials &) = delete;

private:
	using Data = std::array<struct __user_cap_data_struct, 2>;
	static void get(Data &data) {
		struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
		(void)::syscall(SYS_capget, &header, data.data());
	}
	static void set(const Data &data) {
		struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
		(void)::syscall(SYS_capset, &header, data.data());
	}

	bool changed_;
	int dumpable_ = 1;
	Data capabilities_{};
};

std::string describe(const MountSource &source) {
	return cat("cannot mount the overlay on '", source.upper.empty() ? source.lowers.front() : source.upper, "'");
}

void check_writable(int mount_fd, const MountSource &source, const MountFlags &flags) {
	struct statvfs info {};
	if (source.upper.empty() || (flags.set & MOUNT_ATTR_RDONLY) != 0 || ::fstatvfs(mount_fd, &info) < 0 || (info.f_flag & ST_RDONLY) == 0) {
		return;
	}
	throw_error("host",
				cat(describe(source), ": it came up read-only, for the file system there can't keep the changed files of an overlay"),
				cat("move ", source.upper, " to ext4, xfs or btrfs"));
}

/** One `lowerdir+` a layer, where the kernel has it (6.7) and layers is not one text's worth. */
std::string mount_options(const Layers &layers) {
	std::string options = fixed_options;
	if (layers.lowers.size() == 1 || joined_lowers(layers).size() <= longest_option) {
		options += cat(",lowerdir=", joined_lowers(layers));
	} else {
		for (const Fd &lower : layers.lowers) {
			options += cat(",lowerdir+=", fd_path(lower));
		}
	}
	return layers.upper ? cat(options, ',', upper_options, ",upperdir=", fd_path(layers.upper), ",workdir=", fd_path(layers.work))
						: options;
}

Fd mount_layers(const Layers &layers, const MountFlags &flags, const MountOwner &owner) {
	const MounterCredentials as_root_of_container(owner);
	return make_fs_mount("overlay", "overlay", mount_options(layers), flags);
}

} // namespace

/** The layers' mounts join the mount namespace, and mount(2) takes a page of options. */
Fd make_overlay_mount_in_own_namespace(const MountSource &source, const MountOwner &owner) {
	const Layers layers = clone_layers(source, owner);
	const Fd staging = make_fs_mount("tmpfs", "none", "mode=0700", {});
	if (::unshare(CLONE_NEWNS) < 0 || sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
		throw_errno("mount", "cannot make a mount namespace for an overlay");
	}
	move_mount_to(staging.get(), AT_FDCWD, "/");
	for (std::size_t i = 0; i <= layers.clones.size(); i++) {
		const std::string name = std::to_string(i);
		if (::mkdirat(staging.get(), name.c_str(), 0700) < 0) {
			throw_errno("mount", "cannot prepare the staging of an overlay");
		}
		if (i < layers.clones.size()) {
			move_mount_to(layers.clones[i].get(), staging.get(), name.c_str());
		}
	}
	const std::string point = std::to_string(layers.clones.size());
	std::string options = cat(fixed_options, ",lowerdir=", joined_lowers(layers));
	if (layers.upper) {
		options += cat(',', upper_options, ",upperdir=", fd_path(layers.upper), ",workdir=", fd_path(layers.work));
	}
	{
		const MounterCredentials as_root_of_container(owner);
		if (sys::mount("overlay", cat(fd_path(staging), '/', point).c_str(), "overlay", 0, options.c_str()) < 0) {
			throw_errno("mount", describe(source), errno, errno == ENODEV ? "modprobe overlay" : "");
		}
	}
	Fd mount(sys::open_tree(staging.get(), point.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	if (!mount) {
		throw_errno("mount", "cannot take an overlay out of its staging");
	}
	return mount;
}

namespace {

/** Its result goes to `slot`, a descriptor of the table that both share; its error down the pipe. */
[[noreturn]] void run_child(const MountSource &source, const MountOwner &owner, int slot, int error_fd) {
	int code = 1;
	try {
		const Fd mount = make_overlay_mount_in_own_namespace(source, owner);
		code = ::dup3(mount.get(), slot, O_CLOEXEC) < 0 ? 1 : 0;
	} catch (const SysError &error) {
		const std::string text = cat(error.info().error_number, '\n', error.info().hint, '\n', error.info().message);
		(void)!::write(error_fd, text.data(), text.size());
	}
	::_exit(code);
}

[[noreturn]] void throw_child_error(int error_fd) {
	std::array<char, 4096> text{};
	const ssize_t got = ::read(error_fd, text.data(), text.size());
	const std::string_view said(text.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
	const std::size_t first = said.find('\n'), second = said.find('\n', first + 1);
	if (first == std::string_view::npos || second == std::string_view::npos) {
		throw_error("native", "cannot mount an overlay: the child that does it died");
	}
	ErrorInfo info;
	info.step = "mount";
	info.error_number = static_cast<int>(to_int(said.substr(0, first)).value_or(0));
	info.hint = said.substr(first + 1, second - first - 1);
	info.message = said.substr(second + 1);
	throw SysError(info);
}

/** One layer that nothing is written over: overlayfs wants two. */
Fd make_single_layer(const MountSource &source, const MountOwner &owner) {
	Fd mount = clone_layer(source.lowers.front(), owner);
	MountFlags read_only;
	read_only.set = MOUNT_ATTR_RDONLY;
	set_mount_attributes(mount.get(), read_only, false);
	return mount;
}

} // namespace

Fd make_overlay_mount(const MountSource &source, const MountFlags &flags, const MountOwner &owner) {
	if (source.lowers.empty() || (!source.upper.empty() && source.work.empty())) {
		throw_error("config", "cannot mount an overlay without a lower layer or without a work directory");
	}
	if (source.upper.empty() && source.lowers.size() == 1) {
		return make_single_layer(source, owner);
	}
	Fd mount;
	try {
		mount = mount_layers(owner.userns_fd >= 0 ? clone_layers(source, owner) : open_plain_layers(source), flags, owner);
	} catch (SysError &error) {
		if (error.info().error_number != EINVAL || !owner.may_fork) {
			error.info().message = cat(describe(source), ": ", error.info().message);
			throw;
		}
		mount = make_overlay_mount_in_child(source, owner);
	}
	check_writable(mount.get(), source, flags);
	return mount;
}

Fd make_overlay_mount_in_child(const MountSource &source, const MountOwner &owner) {
	int ends[2];
	if (::pipe2(ends, O_CLOEXEC) < 0) {
		throw_errno("mount", "cannot make a pipe");
	}
	const Fd read_end(ends[0]);
	Fd write_end(ends[1]);
	Fd slot = open_or_throw("/dev/null", O_PATH);
	struct clone_args arguments {};
	arguments.flags = CLONE_FILES;
	arguments.exit_signal = SIGCHLD;
	const pid_t child = sys::clone3(&arguments);
	if (child < 0) {
		throw_errno("mount", "cannot start a child for an overlay");
	}
	if (child == 0) {
		run_child(source, owner, slot.get(), write_end.get());
	}
	int status = 0;
	(void)TEMP_FAILURE_RETRY(::waitpid(child, &status, 0));
	write_end.reset();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		throw_child_error(read_end.get());
	}
	return slot;
}

} // namespace tslxc
