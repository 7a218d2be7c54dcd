// The container's /dev and its terminals. Everything runs in init, before pivot_root, beneath the descriptor of the mounted rootfs.
#pragma once

#include <vector>

#include "../base/fd.hpp"
#include "../spec/spec.hpp"

namespace tslxc {

/** A tmpfs on /dev (autodev). Before the entries that mount below /dev. */
void mount_dev(const Spec &spec, int root_fd);
/** null, zero, full, urandom, random, tty: made, or bound from the host where a user namespace or the device cgroup forbids it; fd, stdin,
 *  stdout and stderr as links. */
void fill_dev(const Spec &spec, int root_fd);

/** A new devpts instance on /dev/pts with /dev/ptmx, from it a pty for /dev/console and one each tty, bound to their names.
 *  The masters, console first when there is one. */
std::vector<Fd> make_terminals(const Spec &spec, int root_fd);
bool has_console(const Spec &spec);
/** By the name of its program: systemd, or something that ends in `init`. */
bool runs_an_init(const Spec &spec);

/** After pivot_root: stdin, stdout and stderr are /dev/console, or /dev/null where there is none. A program that is no init (`-- sh`) gets
 * it as its controlling terminal too; an init must not, or the shells and gettys it starts there have no job control. */
void take_console(const Spec &spec);

} // namespace tslxc
