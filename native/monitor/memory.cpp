#include "memory.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace tslxc {

namespace {

std::uintptr_t page_size() {
	return static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
}

/** Only segments that are never written: the dirty pages of others would be lost. madvise(2), MADV_DONTNEED */
int drop_clean_segments(struct dl_phdr_info *info, std::size_t, void *) {
	for (int i = 0; i < info->dlpi_phnum; ++i) {
		const auto &segment = info->dlpi_phdr[i];
		if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0) {
			const std::uintptr_t start = (info->dlpi_addr + segment.p_vaddr) & ~(page_size() - 1);
			::madvise(reinterpret_cast<void *>(start), info->dlpi_addr + segment.p_vaddr + segment.p_memsz - start, MADV_DONTNEED);
		}
	}
	return 1; // the program alone, not the vdso
}

/** What calls that have returned left there, with a page to spare for the one that follows. */
void drop_stack_below(const void *frame) {
	constexpr std::uintptr_t depth = 128 * 1024;
	const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(frame) & ~(page_size() - 1)) - page_size();
	// Pages that were never touched are none of the mapping's: ENOMEM for them, the others are dropped all the same.
	::madvise(reinterpret_cast<void *>(end - depth), depth, MADV_DONTNEED);
}

} // namespace

void shrink_memory() {
	::malloc_trim(0);
	drop_stack_below(__builtin_frame_address(0));
	::dl_iterate_phdr(drop_clean_segments, nullptr);
}

} // namespace tslxc
