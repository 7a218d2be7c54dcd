#include "protect.hpp"

#include <sys/statvfs.h>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../spec/paths.hpp"
#include "mount.hpp"
#include "syscalls.hpp"

extern char **environ;

namespace tslxc {

namespace {

void exec_from(int program_fd, const std::vector<std::string> &words) {
	std::vector<std::string> argv = words;
	argv.insert(argv.begin(), install_root() + "/dist/tslxc");
	std::vector<char *> pointers;
	for (const std::string &word : argv) {
		pointers.push_back(const_cast<char *>(word.c_str()));
	}
	pointers.push_back(nullptr);
	::syscall(SYS_execveat, program_fd, "", pointers.data(), environ, AT_EMPTY_PATH);
}

} // namespace

bool program_is_protected() {
	struct statvfs info {};
	return ::statvfs("/proc/self/exe", &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

void exec_protected(const std::vector<std::string> &words) {
	const Fd program = clone_tree("/proc/self/exe", false);
	MountFlags flags;
	flags.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	set_mount_attributes(program.get(), flags, false);
	set_mount_propagation(program.get(), "", MS_PRIVATE, false);
	exec_from(program.get(), words);
	throw_errno("protect", "cannot run the program from a read-only mount");
}

void exec_again(const std::vector<std::string> &words) {
	const Fd program(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
	if (program) {
		exec_from(program.get(), words);
	}
}

} // namespace tslxc
