/** Who can write what a container is compiled from: with root's rights it runs what these files say. */
import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { HostError } from '../lib/errors.ts'

const STICKY = 0o1000
const GROUP_WRITE = 0o020
const OTHERS_WRITE = 0o002

/** Remembers what was looked at: many inputs share their ancestors. */
export class PermissionCheck {
  readonly #seen = new Set<string>()
  readonly #passed = new Set<string>()
  readonly #uid: number

  constructor(uid: number) {
    this.#uid = uid
  }

  /** A file or directory, what it is a link to, and all their ancestors. Absent is fine.
   *  @throws HostError `permission` with the command that mends it. */
  check(path: string): void {
    if (this.#passed.has(path)) return
    this.#checkUp(path, path)
    const real = realPath(path)
    if (real !== undefined && real !== path) this.#checkUp(real, path)
    this.#passed.add(path)
  }

  #checkUp(path: string, named: string): void {
    for (let at = path; !this.#seen.has(at); at = dirname(at)) {
      const stats = lstatSync(at, { throwIfNoEntry: false })
      if (stats !== undefined && !stats.isSymbolicLink()) this.#judge(at, stats, named)
      this.#seen.add(at)
    }
  }

  #judge(path: string, stats: Stats, named: string): void {
    const writable = stats.mode & (stats.gid === 0 ? OTHERS_WRITE : OTHERS_WRITE | GROUP_WRITE)
    // In a sticky directory others can add names, but not replace ours: chmod(2).
    const sticky = stats.isDirectory() && (stats.mode & STICKY) !== 0 && path !== named
    if (stats.uid !== 0 && stats.uid !== this.#uid) throw refused(named, path, `belongs to user ${stats.uid}`, `chown ${this.#uid} ${path}`)
    if (writable !== 0 && !sticky)
      throw refused(named, path, `can be written by others (mode ${(stats.mode & 0o7777).toString(8)})`, `chmod go-w ${path}`)
  }
}

function refused(named: string, path: string, reason: string, hint: string): HostError {
  const object = named === path ? 'it' : `'${path}'`
  return new HostError(`cannot use '${named}': ${object} ${reason}`, { code: 'permission', hint })
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync.native(path)
  } catch {
    return undefined
  }
}
