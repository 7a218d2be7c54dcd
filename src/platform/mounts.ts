/** Mounts that no mount table shows and that go with this process at the latest, however it ends. */
import { loadAddon, type NativeMount, translateNativeError } from './addon.ts'
import type { MountSource } from './mount-source.ts'
import type { Paths } from './paths.ts'

export interface DetachedMountOptions {
  /** Of the mount, not of the superblock, which other mounts may share. Default false. */
  readonly readOnly?: boolean
  /** Setuid and device files have no effect through it (nosuid, nodev). Default false. */
  readonly inert?: boolean
}

/** `using mount = await openDetachedMount(…)`. */
export class DetachedMount implements Disposable {
  /** Absolute, `/proc/PID/fd/N`: good for this process and its children. Following it leads to the root of the mount. */
  readonly path: string
  readonly #native: NativeMount

  constructor(native: NativeMount) {
    this.path = native.path
    this.#native = native
    opened.add(this)
  }

  /** Puts it into the mount table, where it stays; `path` is a directory and no symlink. */
  attach(path: string): void {
    try {
      this.#native.attach(path)
    } catch (error) {
      throw translateNativeError(error)
    }
  }

  /** Unmounts, unless it was attached. Open files below keep it until they are closed. */
  [Symbol.dispose](): void {
    this.#native.close()
    opened.delete(this)
  }
}

// One that is garbage collected would be unmounted.
const opened = new Set<DetachedMount>()

/** @throws HostError · NativeError that name the source and what to do */
export async function openDetachedMount(
  paths: Pick<Paths, 'installRoot'>,
  source: MountSource,
  { readOnly = false, inert = false }: DetachedMountOptions = {},
): Promise<DetachedMount> {
  return new DetachedMount(await loadAddon(paths.installRoot).mountDetached(source, readOnly, inert))
}

/** Mounts for as long as `use` runs, which gets the root: a path for this process and its children. */
export async function withDetachedMount<T>(
  paths: Pick<Paths, 'installRoot'>,
  source: MountSource,
  use: (root: string) => Promise<T>,
  options: DetachedMountOptions = {},
): Promise<T> {
  using mount = await openDetachedMount(paths, source, options)
  return await use(mount.path)
}

/** Mounts where everybody sees it, until somebody unmounts it. `path` is a directory and no symlink. */
export async function attachMount(
  paths: Pick<Paths, 'installRoot'>,
  source: MountSource,
  path: string,
  options: DetachedMountOptions = {},
): Promise<void> {
  using mount = await openDetachedMount(paths, source, options)
  mount.attach(path)
}
