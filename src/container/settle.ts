/** The one way to lock an existing container: on return, what crashed commands began on it is finished or undone. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type LockHandle, loadAddon } from '../platform/addon.ts'
import { removeStaleTemporaries } from '../platform/files.ts'
import { lockFile } from '../platform/paths.ts'
import { finishRenames, hasBrokenRename } from './copy/rename-journal.ts'
import { hostMountsFile, requireNotMounted, settleHostMounts } from './disk/mounted.ts'
import { PENDING, settlePending } from './pending.ts'
import { sweepSnapshots } from './snapshot/snapshot-store.ts'
import { type Container, containerExists, containerOf, findContainer, lockContainer, notFound, type StoreContext } from './store.ts'
import { type ConfigChoice, readyVolumes, unreadyVolumes } from './volume/data-volume-make.ts'

/** An existing container, locked: `using held = await lockExisting(…)`. */
export interface HeldContainer extends Disposable {
  readonly container: Container
  readonly lock: LockHandle
}

/**
 * `verb` is for the message, e.g. `restore`.
 * @throws UsageError · NotFoundError · BusyError that names the holder
 */
export async function lockExisting(context: StoreContext, name: string, verb: string): Promise<HeldContainer> {
  const container = await findContainer(context.paths, name, verb)
  const lock = await lockContainer(context, name)
  try {
    await finishRenames(context, [name])
    if (!containerExists(context.paths, name)) throw await notFound(context.paths, name, verb)
    await settle(context, container)
  } catch (error) {
    lock.release()
    throw error
  }
  return { container, lock, [Symbol.dispose]: () => lock.release() }
}

/** Under the container's lock. Whether there was anything to finish or to undo. */
export async function settle(context: StoreContext, container: Container): Promise<boolean> {
  const replaced = await settlePending(context, container)
  const swept = await sweepSnapshots(context, container)
  await removeStaleTemporaries(container.dir)
  return replaced || swept
}

/**
 * For the compiler. A start that finds its plan stale holds the lock and waits for us, its child: then its lock is ours.
 * A container that somebody else works on is left alone.
 */
export async function settleForStart(context: StoreContext, name: string, choice: ConfigChoice = {}): Promise<void> {
  const { paths, command } = context
  const container = containerOf(paths, name)
  const isPlain = ![join(container.dir, PENDING), hostMountsFile(container)].some((file) => existsSync(file))
  const unready = unreadyVolumes(context, container, choice)
  if (isPlain && unready.length === 0 && !hasBrokenRename(context)) return
  const goOn = async (): Promise<void> => {
    await finishRenames(context, [name])
    await settlePending(context, container)
    await settleHostMounts(container)
  }
  const lock = loadAddon(paths.installRoot).tryLock(lockFile(paths, name), command, false)
  if ('release' in lock) {
    try {
      await goOn()
    } finally {
      lock.release()
    }
  } else if (lock.pid === process.ppid) {
    await goOn()
    await requireNotMounted(container, 'start', 'start')
    await readyVolumes(context, container, unready)
  }
}
