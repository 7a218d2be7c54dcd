/**
 * The typed seam to the native addon: what Node lacks, and what must have one truth with the native program.
 * Arguments are checked here, before C++ sees them. Long calls return promises (AsyncWorkers).
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { abortedError } from '../lib/abort.ts'
import { BusyError, ExistsError, HostError, NativeError, NotFoundError, TslxcError } from '../lib/errors.ts'
import { checkedStorage, type StorageAddon } from './addon-storage.ts'
import type { MountSource } from './mount-source.ts'

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
  /** The monitor is gone without having said STOPPED: whoever next takes the container's lock cleans up (`stop -k`). */
  readonly crashed: boolean
}

export interface CopyOptions {
  /** Adds this much to every owner (uid, gid); default 0. */
  readonly shift?: number
  /** The top directory alone, with its owner, mode and attributes; default false. */
  readonly topOnly?: boolean
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

export interface BtrfsInspection {
  /** Of the file system, as blkid(8) shows it. */
  readonly fsUuid: string
  /** The path is the root of a subvolume. */
  readonly subvolume: boolean
  readonly readOnlyMount: boolean
  readonly quota: 'off' | 'full' | 'simple'
}

/** In bytes, of a subvolume and of those beneath it. */
export interface BtrfsUsage {
  readonly quota: 'off' | 'full' | 'simple'
  readonly exclusive: number
  readonly referenced: number
  /** What a limit is compared with; absent where quotas are off. */
  readonly counted?: number
  readonly limit?: number
}

/** A detached mount: it goes with `close`, or with this process. */
export interface NativeMount {
  /** `/proc/PID/fd/N` */
  readonly path: string
  attach(path: string): void
  close(): void
}

export interface NativeAddon extends StorageAddon {
  /** Non-blocking. The handle, or who holds it. Writes the holder's line (`pid command`) into the file. */
  tryLock(path: string, command: string, shared: boolean): LockHandle | LockHolder
  /** The state of a container by its run directory: state.json, monitor.lock by F_GETLK, pid and start time. */
  readState(runDir: string): ContainerState
  openRootfsDir(path: string): NativeRootfsDir
  /** Copies a tree with owners, modes, times, xattrs, capabilities, hard links, sparse files and device nodes. Stays on one device. */
  copyTree(from: string, to: string, options: CopyOptions): Promise<CopyResult>
  /** Adds to every owner of a tree, to ids in ACLs and to roots of capabilities, in place. The number of entries. */
  shiftTree(path: string, shift: number, cancel: Int32Array): Promise<number>
  /** Removes a tree without following symlinks or crossing a mount; absent is success. */
  removeTree(path: string): Promise<void>
  /** `inert`: nosuid and nodev. */
  mountDetached(source: MountSource, readOnly: boolean, inert: boolean): Promise<NativeMount>
  /** Compiles a seccomp policy in LXC's format (v1 or v2 text) to an array of struct sock_filter. */
  compileSeccomp(policy: string, options: { readonly file: string }): Buffer
  /** statx on each path; `undefined` where absent. ctime in nanoseconds as decimal text, the same as the native program compares. */
  stamp(
    paths: readonly string[],
  ): ({ dev: string; inode: string; size: number; ctimeNs: string; uid: number; gid: number; mode: number } | undefined)[]
  /** fsync of a directory or file. */
  syncPath(path: string): void
  /** syncfs(2) of the file system that a directory lies on. */
  syncFileSystem(path: string): Promise<void>
  signalNumber(name: string): number | undefined
  /** Undefined where it is absent or not on btrfs. */
  btrfsInspect(path: string): BtrfsInspection | undefined
  /** An empty subvolume, root's, 0755. @throws ExistsError */
  btrfsCreate(path: string): Promise<boolean>
  /** A snapshot of a subvolume and of those beneath it. After a failure nothing is left. @throws ExistsError */
  btrfsSnapshot(from: string, to: string, readOnly: boolean): Promise<boolean>
  /** Deletes a subvolume, those beneath it first; false when there is none. Does not wait until the space is free. */
  btrfsDestroy(path: string): Promise<boolean>
  /** Switches quotas on where they are off, and waits until the numbers are right, which reads all metadata. */
  btrfsEnableQuota(path: string): Promise<'full' | 'simple'>
  /** Undefined: no limit. */
  btrfsLimit(path: string, bytes: number | undefined): Promise<boolean>
  /** Flushes first: what was just written counts. */
  btrfsUsage(path: string): Promise<BtrfsUsage>
}

/** What C++ throws: an Error with the fields of `ErrorInfo` (native/base/error.hpp). */
interface RawNativeError extends Error {
  readonly code: string
  readonly step?: string
  readonly errno?: number
  readonly hint?: string
}

const loaded = new Map<string, NativeAddon>()

/**
 * The addon of an installation, loaded once. Its errors arrive as our classes.
 * @throws HostError when it is not built
 */
export function loadAddon(installRoot: string): NativeAddon {
  const file = join(installRoot, 'dist/addon.node')
  const present = loaded.get(file)
  if (present !== undefined) return present
  const addon = checkedAddon(requireAddon(file))
  loaded.set(file, addon)
  return addon
}

function requireAddon(file: string): NativeAddon {
  try {
    return createRequire(file)(file)
  } catch (cause) {
    throw new HostError(`cannot load '${file}': ${cause instanceof Error ? cause.message.split('\n')[0] : cause}`, {
      hint: 'npm ci && npm run build',
      cause,
    })
  }
}

function checkedAddon(raw: NativeAddon): NativeAddon {
  return {
    ...checkedStorage(raw, { translated, translatedAsync, absolute }),
    tryLock: (path, command, shared) => translated(() => keepUntilReleased(raw.tryLock(absolute(path), command, shared))),
    readState: (runDir) => translated(() => raw.readState(absolute(runDir))),
    openRootfsDir: (path) => translated(() => raw.openRootfsDir(absolute(path))),
    copyTree: (from, to, options) => translatedAsync(() => raw.copyTree(absolute(from), absolute(to), checkedCopyOptions(options))),
    shiftTree: (path, shift, cancel) => translatedAsync(() => raw.shiftTree(absolute(path), whole(shift), cancel)),
    removeTree: (path) => translatedAsync(() => raw.removeTree(absolute(path))),
    mountDetached: (source, readOnly, inert) => translatedAsync(() => raw.mountDetached(checkedSource(source), readOnly, inert)),
    compileSeccomp: (policy, options) => translated(() => raw.compileSeccomp(policy, options)),
    stamp: (paths) => translated(() => raw.stamp(paths)),
    syncPath: (path) => translated(() => raw.syncPath(absolute(path))),
    syncFileSystem: (path) => translatedAsync(() => raw.syncFileSystem(absolute(path))),
    signalNumber: (name) => raw.signalNumber(name),
    btrfsInspect: (path) => translated(() => raw.btrfsInspect(absolute(path))),
    btrfsCreate: (path) => translatedAsync(() => raw.btrfsCreate(absolute(path))),
    btrfsSnapshot: (from, to, readOnly) => translatedAsync(() => raw.btrfsSnapshot(absolute(from), absolute(to), readOnly)),
    btrfsDestroy: (path) => translatedAsync(() => raw.btrfsDestroy(absolute(path))),
    btrfsEnableQuota: (path) => translatedAsync(() => raw.btrfsEnableQuota(absolute(path))),
    btrfsLimit: (path, bytes) => translatedAsync(() => raw.btrfsLimit(absolute(path), bytes)),
    btrfsUsage: (path) => translatedAsync(() => raw.btrfsUsage(absolute(path))),
  }
}

// A handle that is garbage collected would let go of its lock.
const heldLocks = new Set<LockHandle>()

function keepUntilReleased(result: LockHandle | LockHolder): LockHandle | LockHolder {
  if (!('release' in result)) return result
  const kept: LockHandle = {
    release() {
      result.release()
      heldLocks.delete(kept)
    },
  }
  heldLocks.add(kept)
  return kept
}

/** An error of the addon as one of our classes. Exported for calls on handles, which are not wrapped here. */
export function translateNativeError(error: unknown): unknown {
  if (error instanceof TslxcError || !(error instanceof Error) || !('code' in error)) return error
  const { code, message, step, errno, hint } = error as RawNativeError
  const options = { ...(hint === undefined ? {} : { hint }), cause: error }
  switch (code) {
    case 'busy':
      return new BusyError(message, options)
    case 'not-found':
      return new NotFoundError(message, options)
    case 'exists':
      return new ExistsError(message, options)
    case 'aborted':
      return abortedError(error)
    case 'no-space':
    case 'permission':
    case 'host':
      return new HostError(message, { ...options, code })
    case 'config':
    case 'usage':
    case 'state':
      return new TslxcError(code, message, options)
    default:
      return new NativeError(message, { step, errno }, options)
  }
}

function translated<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw translateNativeError(error)
  }
}

async function translatedAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw translateNativeError(error)
  }
}

// A path with a NUL would be cut short by C; a relative one depends on where the process stands.
function absolute(path: string): string {
  if (path.startsWith('/') && !path.includes('\0')) return path
  throw new TslxcError('internal', `cannot use the path '${path}': it is not absolute`)
}

function checkedSource(source: MountSource): MountSource {
  switch (source.kind) {
    case 'bind':
      absolute(source.path)
      break
    case 'overlay':
      for (const layer of [...source.lowers, source.upper, source.work]) if (layer !== undefined) absolute(layer)
      break
    case 'loop':
      absolute(source.file)
      break
    case 'block':
      absolute(source.device)
  }
  return source
}

function checkedCopyOptions(options: CopyOptions): CopyOptions {
  const { shift = 0, reflink = true, topOnly = false, cancel } = options
  whole(shift)
  if (cancel !== undefined && cancel.length < 1) throw new TslxcError('internal', 'cannot watch an empty cancel word')
  return { shift, reflink, topOnly, ...(cancel === undefined ? {} : { cancel }) }
}

function whole(shift: number): number {
  if (Number.isInteger(shift)) return shift
  throw new TslxcError('internal', `cannot shift owners by ${shift}`)
}
