#include "devices.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>

#include "../base/error.hpp"
#include "../base/text.hpp"
#include "../kernel/mount.hpp"
#include "../kernel/syscalls.hpp"

namespace tslxc {

namespace {

struct Node {
	const char *name;
	unsigned major, minor;
};

// Numbers from the kernel's Documentation/admin-guide/devices.txt.
constexpr std::array nodes{Node{"null", 1, 3},	 Node{"zero", 1, 5},	Node{"full", 1, 7},
						   Node{"random", 1, 8}, Node{"urandom", 1, 9}, Node{"tty", 5, 0}};

struct Link {
	const char *name, *target;
};
constexpr std::array links{Link{"fd", "/proc/self/fd"}, Link{"stdin", "/proc/self/fd/0"}, Link{"stdout", "/proc/self/fd/1"},
						   Link{"stderr", "/proc/self/fd/2"}};

void bind_device(int dev_fd, const Node &node) {
	if (::mknodat(dev_fd, node.name, S_IFREG | 0666, 0) < 0 && errno != EEXIST) {
		throw_errno("dev", cat("cannot make /dev/", node.name));
	}
	const Fd device = clone_tree(cat("/dev/", node.name), false);
	move_mount_to(device.get(), dev_fd, node.name);
}

void make_node(int dev_fd, const Node &node, bool may_make) {
	if (may_make && ::mknodat(dev_fd, node.name, S_IFCHR | 0666, makedev(node.major, node.minor)) == 0) {
		if (::fchmodat(dev_fd, node.name, 0666, 0) < 0) {
			throw_errno("dev", cat("cannot set the mode of /dev/", node.name));
		}
		return;
	}
	if (may_make && errno == EEXIST) {
		return;
	}
	bind_device(dev_fd, node);
}

void link_at(int dir_fd, const char *target, const std::string &name) {
	if (::symlinkat(target, dir_fd, name.c_str()) == 0) {
		return;
	}
	struct stat info {};
	if (errno != EEXIST || ::fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
		throw_errno("dev", cat("cannot make the link /dev/", name));
	}
}

Fd open_tty(int master) {
	int locked = 0;
	if (::ioctl(master, TIOCSPTLCK, &locked) < 0) {
		throw_errno("terminals", "cannot unlock a pty");
	}
	Fd slave(::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (!slave) {
		throw_errno("terminals", "cannot open the other side of a pty");
	}
	return slave;
}

/** Binds a pty's file over a name below /dev, which is made when it is missing. */
void bind_tty(int root_fd, int pts_fd, int number, const std::string &path) {
	const Fd target = make_target(root_fd, path, "file");
	const Fd tree(sys::open_tree(pts_fd, std::to_string(number).c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	if (!tree) {
		throw_errno("terminals", cat("cannot bind ", path));
	}
	move_mount_to(tree.get(), target.get(), "");
}

int pty_number(int master) {
	int number = 0;
	if (::ioctl(master, TIOCGPTN, &number) < 0) {
		throw_errno("terminals", "cannot ask for the number of a pty");
	}
	return number;
}

/** /dev/NAME, or /dev/TTYDIR/NAME with /dev/NAME as a link to it. */
void name_tty(const Spec &spec, int root_fd, int pts_fd, int number, const std::string &name) {
	if (spec.console.tty_dir.empty()) {
		bind_tty(root_fd, pts_fd, number, cat("/dev/", name));
		return;
	}
	const std::string below = cat(spec.console.tty_dir, '/', name);
	make_target(root_fd, cat("/dev/", spec.console.tty_dir), "dir");
	bind_tty(root_fd, pts_fd, number, cat("/dev/", below));
	const Fd dev = open_beneath(root_fd, "/dev", O_PATH | O_DIRECTORY, false);
	::unlinkat(dev.get(), name.c_str(), 0);
	link_at(dev.get(), below.c_str(), name);
}

Fd mount_devpts(const Spec &spec, int root_fd) {
	const Fd target = make_target(root_fd, "/dev/pts", "dir");
	const std::string max = spec.console.ptys > 0 ? cat(",max=", spec.console.ptys) : "";
	MountFlags flags;
	flags.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	// devpts is a new instance at each mount since Linux 4.7. Group 5 is tty in every distribution.
	Fd pts = make_fs_mount("devpts", "devpts", cat("ptmxmode=0666,mode=0620,gid=5", max), flags);
	move_mount_to(pts.get(), target.get(), "");
	return pts;
}

void point_ptmx(const Spec &spec, int root_fd) {
	const Fd dev = open_beneath(root_fd, "/dev", O_PATH | O_DIRECTORY, false);
	if (spec.autodev) {
		link_at(dev.get(), "pts/ptmx", "ptmx");
		return;
	}
	struct stat info {};
	if (::fstatat(dev.get(), "ptmx", &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(info.st_mode)) {
		const Fd tree(sys::open_tree(dev.get(), "pts/ptmx", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
		if (tree) {
			move_mount_to(tree.get(), dev.get(), "ptmx");
		}
	}
}

} // namespace

bool runs_an_init(const Spec &spec) {
	const std::string &program = spec.init.argv.at(0);
	const std::string name = program.substr(program.rfind('/') + 1);
	return name == "systemd" || name.ends_with("init");
}

bool has_console(const Spec &spec) {
	return spec.console.path != "none";
}

void mount_dev(const Spec &spec, int root_fd) {
	if (!spec.autodev) {
		return;
	}
	const Fd target = make_target(root_fd, "/dev", "dir");
	const std::string size = spec.autodev_bytes > 0 ? cat(",size=", spec.autodev_bytes) : "";
	const Fd dev = make_fs_mount("tmpfs", "none", cat("mode=0755", size), {});
	move_mount_to(dev.get(), target.get(), "");
}

void fill_dev(const Spec &spec, int root_fd) {
	if (!spec.autodev) {
		return;
	}
	const Fd dev = open_beneath(root_fd, "/dev", O_PATH | O_DIRECTORY, false);
	const mode_t mask = ::umask(0);
	for (const Node &node : nodes) {
		make_node(dev.get(), node, !spec.unprivileged());
	}
	::umask(mask);
	for (const Link &link : links) {
		link_at(dev.get(), link.target, link.name);
	}
}

std::vector<Fd> make_terminals(const Spec &spec, int root_fd) {
	if (!spec.autodev && spec.console.ttys == 0 && spec.console.ptys == 0 && !has_console(spec)) {
		return {};
	}
	const Fd pts = mount_devpts(spec, root_fd);
	point_ptmx(spec, root_fd);
	std::vector<Fd> masters;
	for (int number = has_console(spec) ? 0 : 1; number <= spec.console.ttys; ++number) {
		Fd master(::openat(pts.get(), "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
		if (!master) {
			throw_errno("terminals", "cannot open a pty of the container", errno, "raise pty.max in the container's configuration");
		}
		const Fd slave = open_tty(master.get());
		name_tty(spec, root_fd, pts.get(), pty_number(master.get()), number == 0 ? "console" : cat("tty", number));
		masters.push_back(std::move(master));
	}
	return masters;
}

void take_console(const Spec &spec) {
	const char *path = has_console(spec) ? "/dev/console" : "/dev/null";
	const Fd terminal(::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (!terminal) {
		throw_errno("console", cat("cannot open ", path, " in the container"));
	}
	if (has_console(spec) && !runs_an_init(spec)) {
		::ioctl(terminal.get(), TIOCSCTTY, 0);
	}
	for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
		if (::dup2(terminal.get(), stream) < 0) {
			throw_errno("console", cat("cannot use ", path, " as a standard stream"));
		}
	}
}

} // namespace tslxc
