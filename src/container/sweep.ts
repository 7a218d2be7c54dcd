/** Removing what is no container, or no longer one: the half-made, and the half-destroyed. Called under the container's lock. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { TslxcError } from '../lib/errors.ts'
import { releaseManyAddresses } from '../network/leases.ts'
import { readJson, removeFile } from '../platform/files.ts'
import { type Paths, runDir } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import type { Volume } from '../storage/driver.ts'
import { driverOf } from '../storage/index.ts'
import { releaseManyIds } from './ids.ts'
import { JOURNAL_VERSION, type Journal } from './journal.ts'
import { pendingVolumes } from './pending.ts'
import { snapshotVolumes } from './snapshot/snapshot-store.ts'
import { type Container, CREATING, containerExists, DESTROYING, isLeftover, readVolume, type StoreContext } from './store.ts'
import { discardDir, discardDirs, discardVolume, emptyTrash } from './trash.ts'
import { removeVolumesOf } from './volume/data-volume-change.ts'

/**
 * Finishes what a command began that died while it made or destroyed this container. An existing one is not touched.
 * @returns whether there was anything
 */
export async function sweepCrashed(context: StoreContext, container: Container): Promise<boolean> {
  if (containerExists(context.paths, container.name)) return false
  if (existsSync(join(container.dir, CREATING))) await sweepCreation(context, container)
  else if (existsSync(join(container.dir, DESTROYING))) await sweepDestruction(context, container)
  else if (isLeftover(container)) await discardDir(context.paths, container.dir, container.name)
  else return false
  return true
}

/** Removes a half-made container by its journal; done twice it does nothing. The directory goes last, for it holds the journal. */
export async function sweepCreation(context: StoreContext, container: Container): Promise<void> {
  if (containerExists(context.paths, container.name)) return await removeFile(join(container.dir, CREATING))
  const journal = await readJson<Journal>(join(container.dir, CREATING), JOURNAL_VERSION)
  await removeAll(context, container, journal?.volumes ?? [])
}

/** Removes a container whose config.yaml has become destroying.yaml; done twice it does nothing. */
export async function sweepDestruction(context: StoreContext, container: Container): Promise<void> {
  // Its configuration says which data volumes were its own; the directory that holds it goes last.
  await removeVolumesOf(context, container, join(container.dir, DESTROYING))
  await removeAll(context, container, await volumesOf(container))
}

/**
 * The same for many that have no data volumes; their errors are returned. What is kept for the whole host is looked at
 * once, and nothing is flushed by itself.
 */
export async function sweepDestructions(
  context: StoreContext,
  containers: readonly Container[],
): Promise<ReadonlyMap<string, readonly unknown[]>> {
  const { paths, command } = context
  const leaving = containers.map((container): Leaving => ({ container, errors: [] }))
  const { default: pLimit } = await import('p-limit')
  const volumes = await pLimit(AT_ONCE).map(leaving, async (one) => {
    const own = await volumesOf(one.container).catch((error: unknown) => {
      one.errors.push(error)
      return []
    })
    await discardVolumes(context, one, own)
    return own
  })
  const owners = containers.map((container) => ownerOf(paths, container))
  const releases = [() => releaseManyAddresses(paths, owners, command), () => releaseManyIds(context, owners)]
  for (const release of releases) {
    await withRoom(paths, volumes.flat(), release).catch((error: unknown) => leaving.forEach(({ errors }) => void errors.push(error)))
  }
  for (const one of leaving) await attempt(one, removeRunDir(paths, one.container))
  const gone = leaving.filter(({ errors }) => errors.length === 0)
  const failures = await discardDirs(
    paths,
    gone.map(({ container }) => container),
  )
  for (const { container, errors } of gone) if (failures.has(container.name)) errors.push(failures.get(container.name))
  return new Map(leaving.map(({ container, errors }) => [container.name, errors]))
}

/** They wait for the disk more than for a processor; what stores do for several of them at once they do once. */
const AT_ONCE = 64

interface Leaving {
  readonly container: Container
  /** Of its steps. */
  readonly errors: unknown[]
}

async function volumesOf(container: Container): Promise<readonly Volume[]> {
  const volume = await readVolume(container)
  const own = [...(volume === undefined ? [] : [volume]), ...(await pendingVolumes(container))]
  return [...own, ...(await snapshotVolumes(container))]
}

async function attempt({ errors }: Leaving, step: Promise<void>): Promise<void> {
  await step.catch((error: unknown) => errors.push(error))
}

async function discardVolumes({ paths }: StoreContext, leaving: Leaving, volumes: readonly Volume[]): Promise<void> {
  for (const volume of [...volumes].reverse()) await attempt(leaving, discardVolume(paths, volume, leaving.container))
}

/** On a full disk, what is to go makes the room for writing that it has gone: it is deleted at once, and not behind us. */
async function withRoom(paths: Paths, volumes: readonly Volume[], write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (!(error instanceof TslxcError && error.code === 'no-space')) throw error
    for (const volume of volumes) await driverOf(paths, volume).destroy(volume)
    await emptyTrash(paths)
    await write()
  }
}

async function removeRunDir(paths: Paths, { name }: Container): Promise<void> {
  if (existsSync(runDir(paths, name))) await removeTree(paths, runDir(paths, name))
}

/**
 * Every step is tried; the directory, which says that something is left to do, stays while one fails.
 * @throws AggregateError
 */
async function removeAll(context: StoreContext, container: Container, volumes: readonly Volume[]): Promise<void> {
  const { paths, command } = context
  const errors: unknown[] = []
  const leaving = { container, errors }
  await discardVolumes(context, leaving, volumes)
  const owner = ownerOf(paths, container)
  // Kept by owner, host-wide: no journal is needed for them.
  await attempt(
    leaving,
    withRoom(paths, volumes, () => releaseManyAddresses(paths, [owner], command)),
  )
  await attempt(
    leaving,
    withRoom(paths, volumes, () => releaseManyIds(context, [owner])),
  )
  await attempt(leaving, removeRunDir(paths, container))
  if (errors.length === 0) await attempt(leaving, discardDir(paths, container.dir, container.name))
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors)
}

export const ownerOf = (paths: Paths, { name }: Container): { readonly lxcpath: string; readonly name: string } => ({
  lxcpath: paths.lxcpath,
  name,
})
