/**
 * The typed seam to the native addon: what Node lacks, and what must have one truth with the native program.
 * Arguments are checked here, before C++ sees them. Long calls return promises (AsyncWorkers).
 */
// (types first; the loader is below)

/** An flock on a file that is never unlinked. Closing releases it. */
export interface LockHandle {
  release(): void
}

export interface LockHolder {
  readonly pid: number
  /** What the holder runs, e.g. `tslxc destroy`. */
  readonly command: string
  /** Seconds it has held the lock. */
  readonly ageSeconds: number
}

export interface ContainerState {
  readonly state: 'STOPPED' | 'STARTING' | 'RUNNING' | 'STOPPING' | 'ABORTING' | 'FREEZING' | 'FROZEN' | 'THAWED'
  readonly initPid?: number
  readonly monitorPid?: number
  readonly startedAt?: string
}

export interface CopyOptions {
  /** Adds this much to every owner (uid, gid); default 0. */
  readonly shift?: number
  /** Ask for reflinks first; default true. */
  readonly reflink?: boolean
  /** A flag word shared with the worker: the copy stops with ECANCELED when it turns to 1. */
  readonly cancel?: Int32Array
}

export interface CopyResult {
  readonly entries: number
  readonly bytes: number
  readonly reflinked: number
}

/** One stored file or directory of a root file system, addressed beneath it by openat2(RESOLVE_IN_ROOT). All paths are the guest's. */
export interface NativeRootfsDir {
  read(path: string, maxBytes: number): Buffer | undefined
  /** Creates parents (0755). Replaces atomically; a symlink at `path` is replaced, not followed. */
  write(path: string, content: Buffer, mode: number, uid: number, gid: number): void
  mkdir(path: string, mode: number, uid: number, gid: number): void
  symlink(target: string, path: string): void
  remove(path: string): void
  list(path: string): string[] | undefined
  stat(path: string): { type: 'file' | 'dir' | 'symlink' | 'other'; mode: number; uid: number; gid: number; size: number } | undefined
  chmod(path: string, mode: number): void
  chown(path: string, uid: number, gid: number): void
  readlink(path: string): string | undefined
  close(): void
}

export interface NativeAddon {
  /** Non-blocking. The handle, or who holds it. Writes the holder's line (`pid command`) into the file. */
  tryLock(path: string, command: string, shared: boolean): LockHandle | LockHolder
  /** The state of a container by its run directory: state.json, monitor.lock by F_GETLK, pid and start time. */
  readState(runDir: string): ContainerState
  openRootfsDir(path: string): NativeRootfsDir
  /** Copies a tree with owners, modes, times, xattrs, capabilities, hard links, sparse files and device nodes. Stays on one device. */
  copyTree(from: string, to: string, options: CopyOptions): Promise<CopyResult>
  /** Removes a tree without following symlinks or crossing a mount; absent is success. */
  removeTree(path: string): Promise<void>
  /** Compiles a seccomp policy in LXC's format (v1 or v2 text) to an array of struct sock_filter. */
  compileSeccomp(policy: string, options: { readonly file: string; readonly nesting: boolean }): Buffer
  /** statx on each path; `undefined` where absent. ctime in nanoseconds as decimal text, the same as the native program compares. */
  stamp(
    paths: readonly string[],
  ): ({ dev: string; inode: string; size: number; ctimeNs: string; uid: number; gid: number; mode: number } | undefined)[]
  /** Whether an idmapped mount of this path can be made here: an errno name, or undefined when it works. */
  probeIdmap(path: string): string | undefined
  /** fsync of a directory or file. */
  syncPath(path: string): void
  signalNumber(name: string): number | undefined
}
