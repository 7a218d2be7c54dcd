#pragma once

namespace tslxc {

/** Gives back what the start used and the waiting does not: free heap, the stack below the caller, the program's pages (they are in the
 * page cache, and come back one by one when they are needed). One monitor stays for each container. */
void shrink_memory();

} // namespace tslxc
