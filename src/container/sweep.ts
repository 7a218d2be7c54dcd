/** Removing what is no container, or no longer one: the half-made, and the half-destroyed. Called under the container's lock. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { releaseAddresses } from '../network/leases.ts'
import { readJson, removeFile } from '../platform/files.ts'
import { type Paths, runDir } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import type { Volume } from '../storage/driver.ts'
import { removeVolumesOf } from './data-volume-change.ts'
import { releaseIds } from './ids.ts'
import { JOURNAL_VERSION, type Journal } from './journal.ts'
import { pendingVolumes } from './pending.ts'
import { snapshotVolumes } from './snapshot-store.ts'
import { type Container, CREATING, containerExists, DESTROYING, isLeftover, readVolume, type StoreContext } from './store.ts'
import { discardDir, discardVolume } from './trash.ts'

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
  const volume = await readVolume(container)
  const own = [...(volume === undefined ? [] : [volume]), ...(await pendingVolumes(container))]
  // Its configuration says which data volumes were its own; the directory that holds it goes last.
  await removeVolumesOf(context, container, join(container.dir, DESTROYING))
  await removeAll(context, container, [...own, ...(await snapshotVolumes(container))])
}

/**
 * Every step is tried; the directory, which says that something is left to do, stays while one fails.
 * @throws AggregateError
 */
async function removeAll(context: StoreContext, container: Container, volumes: readonly Volume[]): Promise<void> {
  const { paths } = context
  const errors: unknown[] = []
  const attempt = async (step: Promise<void>): Promise<void> => {
    await step.catch((error: unknown) => errors.push(error))
  }
  for (const volume of [...volumes].reverse()) await attempt(discardVolume(paths, volume, container))
  const owner = ownerOf(paths, container)
  // Kept by owner, host-wide: no journal is needed for them.
  await attempt(releaseAddresses(paths, owner, context.command))
  await attempt(releaseIds(context, owner))
  await attempt(removeTree(paths, runDir(paths, container.name)))
  if (errors.length === 0) await attempt(discardDir(paths, container.dir, container.name))
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors)
}

export const ownerOf = (paths: Paths, { name }: Container): { readonly lxcpath: string; readonly name: string } => ({
  lxcpath: paths.lxcpath,
  name,
})
