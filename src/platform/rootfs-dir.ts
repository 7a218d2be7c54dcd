/** Host-side access to a guest's root file system: every path is the guest's, and no symlink in it leads out. */
import { TslxcError } from '../lib/errors.ts'
import { loadAddon, type NativeRootfsDir, translateNativeError } from './addon.ts'
import type { Paths } from './paths.ts'

export interface FileOwner {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
}

export type RootfsStat = NonNullable<ReturnType<NativeRootfsDir['stat']>>

const FILE_MODE = 0o644
const DIR_MODE = 0o755
const MAX_TEXT_BYTES = 1024 * 1024

/** `using root = openRootfs(paths, dir)`. Ids are those on disk. Errors name the guest's path. */
export class RootfsDir implements Disposable {
  /** Absolute on the host; for tools that take a root directory, not for opening files beneath it. */
  readonly hostPath: string
  readonly #native: NativeRootfsDir

  constructor(native: NativeRootfsDir, hostPath: string) {
    this.#native = native
    this.hostPath = hostPath
  }

  /** A regular file of at most 1 MiB; undefined when absent. */
  readText(path: string): string | undefined {
    return call(() => this.#native.read(checked(path), MAX_TEXT_BYTES))?.toString('utf8')
  }

  /** Replaces atomically, a symlink at the place too; parents are made. Default 0644, owner 0:0. */
  write(path: string, content: string | Uint8Array, { mode = FILE_MODE, uid = 0, gid = 0 }: FileOwner = {}): void {
    call(() => this.#native.write(checked(path), Buffer.from(content), mode, uid, gid))
  }

  /** With parents. A directory that is there is left as it is. */
  mkdir(path: string, { mode = DIR_MODE, uid = 0, gid = 0 }: FileOwner = {}): void {
    call(() => this.#native.mkdir(checked(path), mode, uid, gid))
  }

  /** Replaces what is at `path` unless it is a directory; `target` is text of the guest's and may dangle. */
  symlink(target: string, path: string): void {
    call(() => this.#native.symlink(checked(target), checked(path)))
  }

  /** A file, a symlink or a tree; absent is success. */
  remove(path: string): void {
    call(() => this.#native.remove(checked(path)))
  }

  /** Names, sorted; undefined when it is no directory. */
  list(path: string): string[] | undefined {
    return call(() => this.#native.list(checked(path)))
  }

  /** Of the entry itself, not of what a symlink names; undefined when absent. */
  stat(path: string): RootfsStat | undefined {
    return call(() => this.#native.stat(checked(path)))
  }

  exists(path: string): boolean {
    return this.stat(path) !== undefined
  }

  isDir(path: string): boolean {
    return this.list(path) !== undefined
  }

  readlink(path: string): string | undefined {
    return call(() => this.#native.readlink(checked(path)))
  }

  chmod(path: string, mode: number): void {
    call(() => this.#native.chmod(checked(path), mode))
  }

  chown(path: string, uid: number, gid: number): void {
    call(() => this.#native.chown(checked(path), uid, gid))
  }

  [Symbol.dispose](): void {
    this.#native.close()
  }
}

/** @throws NativeError when the directory is not there */
export function openRootfs(paths: Pick<Paths, 'installRoot'>, hostPath: string): RootfsDir {
  return new RootfsDir(loadAddon(paths.installRoot).openRootfsDir(hostPath), hostPath)
}

function call<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw translateNativeError(error)
  }
}

// C would cut the path at a NUL.
function checked(path: string): string {
  if (path.includes('\0')) throw new TslxcError('internal', `cannot use the path ${JSON.stringify(path)}: it holds a NUL`)
  return path
}

/** The same with the guest's ids, where `shift` is added to every owner on the disk. */
export function withGuestIds(native: NativeRootfsDir, shift = 0): NativeRootfsDir {
  if (shift === 0) return native
  return {
    read: (path, maxBytes) => native.read(path, maxBytes),
    write: (path, content, mode, ...[uid, gid]) => native.write(path, content, mode, uid + shift, gid + shift),
    mkdir: (path, mode, uid, gid) => native.mkdir(path, mode, uid + shift, gid + shift),
    // Belongs to whom its directory belongs.
    symlink: (target, path) => native.symlink(target, path),
    remove: (path) => native.remove(path),
    list: (path) => native.list(path),
    stat: (path) => {
      const found = native.stat(path)
      return found === undefined ? undefined : { ...found, uid: found.uid - shift, gid: found.gid - shift }
    },
    chmod: (path, mode) => native.chmod(path, mode),
    chown: (path, uid, gid) => native.chown(path, uid + shift, gid + shift),
    readlink: (path) => native.readlink(path),
    close: () => native.close(),
  }
}
