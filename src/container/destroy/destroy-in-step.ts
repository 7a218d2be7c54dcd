/**
 * Destroying many containers in step: all commit points first, on the disk together, then what they had, of which the
 * parts that are kept for the whole host are changed once. A failing container drops out and holds up no other.
 */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { nameProblem } from '../../lib/names.ts'
import type { LockHandle } from '../../platform/addon.ts'
import { fileError } from '../../platform/files.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import { driverOf } from '../../storage/index.ts'
import { finishRenames } from '../copy/rename-journal.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import type { Outcome } from '../many.ts'
import { settle } from '../settle.ts'
import { snapshotVolumes } from '../snapshot/snapshot-store.ts'
import {
  type Container,
  containerExists,
  containerOf,
  DESTROYING,
  lockContainer,
  readVolume,
  type StoreContext,
  stateOf,
} from '../store.ts'
import { sweepDestructions } from '../sweep.ts'
import { sweepTrash } from '../trash.ts'
import { fatesOf } from '../volume/data-volume-change.ts'
import { requireNoDependents } from './dependents.ts'
import { type DestroyOptions, type DestroyReport, prepareDestruction, together } from './destroy.ts'

interface Taken {
  readonly container: Container
  readonly lock: LockHandle
}

interface Committed extends Taken {
  readonly warnings: readonly string[]
}

/**
 * Those of them that can go this way, by name. Left out are the running, the half-made, those that somebody works on,
 * those with data volumes, and those whose store may keep others on their blocks: they go one by one, in their order.
 */
export async function destroyInStep(
  context: StoreContext,
  names: readonly string[],
  options: DestroyOptions,
): Promise<ReadonlyMap<string, Outcome<DestroyReport>>> {
  const outcomes = new Map<string, Outcome<DestroyReport>>()
  const committed: Committed[] = []
  sweepTrash(context.paths)
  try {
    // In one order, so that two commands don't wait for each other.
    for (const name of [...names].sort()) {
      if (context.signal?.aborted) break
      const taken = await take(context, name)
      if (taken === undefined) continue
      try {
        committed.push({ ...taken, warnings: await commit(context, taken.container, options) })
      } catch (error) {
        taken.lock.release()
        if (context.signal?.aborted) break
        outcomes.set(name, { name, error })
      }
    }
    for (const outcome of await removeAll(context, committed)) outcomes.set(outcome.name, outcome)
    return outcomes
  } finally {
    for (const { lock } of committed) lock.release()
  }
}

async function take(context: StoreContext, name: string): Promise<Taken | undefined> {
  if (nameProblem(name) !== undefined || !containerExists(context.paths, name)) return undefined
  const container = containerOf(context.paths, name)
  let lock: LockHandle
  try {
    lock = await lockContainer({ ...context, lockTimeoutMs: 0 }, name)
  } catch {
    return undefined // somebody works on it: it is waited for when the others are gone
  }
  try {
    const { state, crashed } = stateOf(context.paths, name)
    await finishRenames(context, [name])
    if (state === 'STOPPED' && !crashed && containerExists(context.paths, name)) {
      await settle(context, container)
      const volumes = await fatesOf(context.paths, container, container.configFile)
      if (volumes.length === 0 && (await isIndependent(context, container))) return { container, lock }
    }
  } catch {
    // Whoever comes for it alone says why.
  }
  lock.release()
  return undefined
}

async function isIndependent({ paths }: StoreContext, container: Container): Promise<boolean> {
  const live = await readVolume(container)
  const volumes = [...(live === undefined ? [] : [live]), ...(await snapshotVolumes(container))]
  return volumes.every((volume) => driverOf(paths, volume).independent === true)
}

/** From here on it is no container, and only forward is possible. */
async function commit(context: StoreContext, container: Container, options: DestroyOptions): Promise<readonly string[]> {
  const { dir, configFile } = container
  await requireNotMounted(container, 'destroy', 'all')
  await requireNoDependents(context, container, options)
  const warnings = await prepareDestruction(context, container)
  try {
    renameSync(configFile, join(dir, DESTROYING))
  } catch (error) {
    throw fileError('rename', configFile, error)
  }
  return warnings
}

async function removeAll(context: StoreContext, committed: readonly Committed[]): Promise<Outcome<DestroyReport>[]> {
  if (committed.length === 0) return []
  const { paths, onStep } = context
  await syncFileSystem(paths, paths.lxcpath)
  onStep?.({ text: `removing ${committed.length} containers` })
  const errors = await sweepDestructions(
    context,
    committed.map(({ container }) => container),
  )
  return await Promise.all(
    committed.map(async ({ container: { name }, warnings }) => {
      try {
        await together(name, async () => {
          const [first, ...more] = errors.get(name) ?? []
          if (first !== undefined) throw more.length === 0 ? first : new AggregateError([first, ...more])
        })
        return { name, result: { name, stopped: false, leftovers: false, warnings } }
      } catch (error) {
        return { name, error }
      }
    }),
  )
}
