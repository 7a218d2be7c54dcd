// vfork(2) with clone3's flags: the child borrows the parent's memory until it executes a program or ends.
#pragma once

#include <cerrno>

#include "syscalls.hpp"

namespace tslxc::sys {

/** Runs `entry(argument)`, which must never return, in a child that shares memory while the caller is suspended: no page table is copied,
 * no page faults later. What the child changes in memory the parent sees; descriptors are its own. CLONE_INTO_CGROUP is why glibc's clone()
 *  does not do. Returns the pid, or −1 with errno. */
__attribute__((noinline)) inline pid_t clone_vm(struct clone_args *arguments, void (*entry)(void *), void *argument) {
#if defined(__x86_64__)
	arguments->flags |= CLONE_VM | CLONE_VFORK;
	long result;
	// The child never leaves the assembly but by the call, below the red zone: nothing of this frame is overwritten. It has the parent's
	// registers, but rcx and r11. syscall(2)
	asm volatile("syscall\n\t"
				 "testq %%rax, %%rax\n\t"
				 "jnz 1f\n\t"
				 "subq $256, %%rsp\n\t"
				 "andq $-16, %%rsp\n\t"
				 "movq %[argument], %%rdi\n\t"
				 "call *%[entry]\n\t"
				 "hlt\n"
				 "1:\n\t"
				 : "=a"(result)
				 : "a"(SYS_clone3), "D"(arguments), "S"(sizeof(*arguments)), [entry] "r"(entry), [argument] "r"(argument)
				 : "rcx", "r11", "memory", "cc");
	if (result < 0) {
		errno = static_cast<int>(-result);
		return -1;
	}
	return static_cast<pid_t>(result);
#else
	const pid_t child = clone3(arguments);
	if (child == 0) {
		entry(argument);
		::_exit(127);
	}
	return child;
#endif
}

} // namespace tslxc::sys
