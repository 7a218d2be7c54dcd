/** Copies and removals of whole trees that answer an AbortSignal. */
import { throwIfAborted } from '../lib/abort.ts'
import { type CopyResult, loadAddon } from './addon.ts'
import type { Paths } from './paths.ts'

export interface TreeCopyOptions {
  /** Added to every owner; default 0. */
  readonly shift?: number
  /** The top directory alone, with its owner, mode and attributes. */
  readonly topOnly?: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Copies a tree with everything a root file system holds, by reflink where it can. `to` is absent or empty; after a
 * failure what was copied is still there: the caller removes it.
 * @throws TslxcError `aborted`
 */
export async function copyTree(
  paths: Pick<Paths, 'installRoot'>,
  from: string,
  to: string,
  options: TreeCopyOptions = {},
): Promise<CopyResult> {
  const { signal, shift = 0, topOnly = false } = options
  return await cancelable(signal, (cancel) => loadAddon(paths.installRoot).copyTree(from, to, { shift, topOnly, cancel }))
}

/**
 * Adds to every owner of a tree, to the ids in its ACLs and to the roots of its capabilities, in place. Set-id bits stay.
 * After a failure part of it is done: the caller removes the tree.
 * @throws TslxcError `aborted`
 */
export async function shiftTree(
  paths: Pick<Paths, 'installRoot'>,
  path: string,
  shift: number,
  { signal }: Pick<TreeCopyOptions, 'signal'> = {},
): Promise<void> {
  if (shift === 0) return
  // It may be a link to the root of a mount.
  await cancelable(signal, (cancel) => loadAddon(paths.installRoot).shiftTree(`${path}/.`, shift, cancel))
}

/** Calls with a flag that turns to 1 on an abort. */
async function cancelable<T>(signal: AbortSignal | undefined, call: (cancel: Int32Array) => Promise<T>): Promise<T> {
  throwIfAborted(signal)
  const cancel = new Int32Array(1)
  const stop = () => {
    cancel[0] = 1
  }
  signal?.addEventListener('abort', stop, { once: true })
  try {
    return await call(cancel)
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

/** Follows no symlink and crosses no mount; absent is success. */
export async function removeTree(paths: Pick<Paths, 'installRoot'>, path: string): Promise<void> {
  await loadAddon(paths.installRoot).removeTree(path)
}

/** Everything written to the file system of `dir` so far is on the disk on return. */
export async function syncFileSystem(paths: Pick<Paths, 'installRoot'>, dir: string): Promise<void> {
  await loadAddon(paths.installRoot).syncFileSystem(dir)
}
