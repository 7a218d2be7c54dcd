// What the kernel takes at least: clone3 with the namespaces of a container, one exec of /bin/true, reaped.
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

int main() {
	clone_args args{};
	args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUSER | CLONE_NEWCGROUP;
	args.exit_signal = SIGCHLD;
	const long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid < 0) {
		return 1;
	}
	if (pid == 0) {
		execl("/bin/true", "true", nullptr);
		_exit(127);
	}
	int status = 0;
	waitpid(static_cast<pid_t>(pid), &status, 0);
	return status != 0;
}
