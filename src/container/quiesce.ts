/** Holding a running container still while its root file system is read, so that all its files are of one moment. */
import { syncFileSystem } from '../platform/trees.ts'
import { whileFrozen } from '../runtime/native-program.ts'
import type { Capabilities } from '../storage/driver.ts'
import { type StoreContext, stateOf } from './store.ts'

export interface Quiesced<T> {
  readonly result: T
  /** How long it stood still; absent: it did not have to, or did anyway. */
  readonly frozenMs?: number
}

/** Runs `action` while the container stands still, where its storage needs that. One that is frozen already stays so. */
export async function quiesced<T>(
  { paths }: StoreContext,
  name: string,
  capabilities: Pick<Extract<Capabilities, { usable: true }>, 'snapshotsNeedFreeze' | 'snapshotsNeedFlush'>,
  action: () => Promise<T>,
): Promise<Quiesced<T>> {
  const { state, initPid } = stateOf(paths, name)
  if (!capabilities.snapshotsNeedFreeze || state === 'STOPPED' || state === 'FROZEN') return { result: await action() }
  const flush = async (): Promise<void> => {
    if (initPid !== undefined) await syncFileSystem(paths, `/proc/${initPid}/root`).catch(() => undefined)
  }
  // What is written back now need not be while it stands still.
  await flush()
  let frozenMs = 0
  const result = await whileFrozen(paths, name, async () => {
    const frozenAt = performance.now()
    try {
      if (capabilities.snapshotsNeedFlush === true) await flush()
      return await action()
    } finally {
      frozenMs = performance.now() - frozenAt
    }
  })
  return { result, frozenMs }
}
