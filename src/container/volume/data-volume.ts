/**
 * Data volumes as they stand on the disk: `<lxcpath>/.volumes/<name>/` with volume.json, snaps/ and volume.yaml, whose
 * presence means that the volume exists. Whatever else stands there a command left that died.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ExistsError, NotFoundError, StateError, UsageError } from '../../lib/errors.ts'
import { nameProblem } from '../../lib/names.ts'
import type { LockHandle } from '../../platform/addon.ts'
import { ensureDir, readJson, readTextIfPresent, removeFile } from '../../platform/files.ts'
import { acquireLock } from '../../platform/locks.ts'
import { lockFile, type Paths } from '../../platform/paths.ts'
import type { Pool, Volume, VolumeRef } from '../../storage/driver.ts'
import { JOURNAL_VERSION, type Journal } from '../journal.ts'
import { pendingVolumes, settlePending } from '../pending.ts'
import { snapshotVolumes, sweepSnapshots } from '../snapshot/snapshot-store.ts'
import { type Container, CREATING, DESTROYING, isBare, nearestName, readVolumeIn, type StoreContext } from '../store.ts'
import { discardDir, discardVolume } from '../trash.ts'
import { DATA_VOLUME, dataVolumeExists, dataVolumeNames, ownerOfVolume } from './data-volume-names.ts'

/** volume.yaml, for people too. */
export interface DataVolumeRecord {
  /** RFC 3339. */
  readonly created: string
  /** The container it was made for; absent: a person made it. */
  readonly madeFor?: string
  /** Bytes. */
  readonly size?: number
  /** It stays when the containers that use it are destroyed, unless a configuration says otherwise. */
  readonly keep?: boolean
}

export interface DataVolume extends DataVolumeRecord {
  readonly name: string
  readonly volume: Volume
}

/** Where its content stands. */
export const dataRef = ({ name, dir }: Container, pool: Pool = {}): VolumeRef => ({ dir, name: 'data', label: name, pool })

/** Takes no lock. */
export async function listDataVolumes(paths: Paths): Promise<readonly DataVolume[]> {
  const found = await Promise.all(dataVolumeNames(paths).map((name) => readDataVolume(paths, name)))
  return found.flatMap((one) => one ?? [])
}

export async function readDataVolume(paths: Paths, name: string): Promise<DataVolume | undefined> {
  const { dir, configFile } = ownerOfVolume(paths, name)
  const text = await readTextIfPresent(configFile)
  const volume = await readVolumeIn(dir)
  if (text === undefined || volume === undefined) return undefined
  const { parse } = await import('yaml')
  return { ...(parse(text) as DataVolumeRecord), name, volume }
}

/** @throws NotFoundError, whose hint names the one that was probably meant */
export async function findDataVolume(paths: Paths, name: string, verb: string): Promise<DataVolume> {
  checkVolumeName(name)
  const found = await readDataVolume(paths, name)
  if (found !== undefined) return found
  const near = await nearestName(name, dataVolumeNames(paths))
  throw new NotFoundError(`cannot ${verb} volume '${name}': there is no such volume`, {
    hint: near === undefined ? `tslxc volume create ${name}` : `did you mean '${near}'?`,
  })
}

/** @throws UsageError */
export function checkVolumeName(name: string): void {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new UsageError(`cannot use the volume name '${name}': ${problem}`)
}

/** The lock that everything takes which changes a data volume; those of containers come before it. Settled on return. */
export async function lockDataVolume(context: StoreContext, name: string): Promise<LockHandle & Disposable> {
  const { paths, command, lockTimeoutMs, signal } = context
  await ensureDir(paths.lxcpath)
  const lock = await acquireLock(paths, {
    // No name of a container begins with a dot.
    path: lockFile(paths, `.volume.${name}`),
    object: `volume '${name}'`,
    command,
    signal,
    ...(lockTimeoutMs === undefined ? {} : { timeoutMs: lockTimeoutMs }),
  })
  try {
    await settleDataVolume(context, name)
  } catch (error) {
    lock.release()
    throw error
  }
  return { release: () => lock.release(), [Symbol.dispose]: () => lock.release() }
}

/** Under its lock: finishes or undoes what crashed commands began on it. */
export async function settleDataVolume(context: StoreContext, name: string): Promise<void> {
  const owner = ownerOfVolume(context.paths, name)
  if (!existsSync(owner.dir)) return
  if (!existsSync(owner.configFile)) {
    // What is neither ours nor empty is left alone.
    const isOurs = [CREATING, DESTROYING].some((file) => existsSync(join(owner.dir, file))) || isBare(owner.dir)
    if (isOurs) await sweepDataVolume(context, owner)
    return
  }
  await removeFile(join(owner.dir, CREATING))
  await settlePending(context, owner)
  await sweepSnapshots(context, owner)
}

/** The rest of a volume whose volume.yaml is not there, or no more; done twice it does nothing. */
export async function sweepDataVolume(context: StoreContext, owner: Container): Promise<void> {
  const live = await readVolumeIn(owner.dir)
  const announced = (await readJson<Journal>(join(owner.dir, CREATING), JOURNAL_VERSION))?.volumes ?? []
  const own = live === undefined ? announced : [live, ...(await pendingVolumes(owner))]
  const volumes = [...own, ...(await snapshotVolumes(owner))]
  for (const volume of volumes.reverse()) await discardVolume(context.paths, volume, owner)
  await discardDir(context.paths, owner.dir, owner.name)
}

/** @throws ExistsError for what is neither a volume of ours nor empty */
export function requireFreePlace({ paths }: StoreContext, name: string): void {
  const { dir } = ownerOfVolume(paths, name)
  if (dataVolumeExists(paths, name)) {
    throw new ExistsError(`cannot create volume '${name}': it already exists`, { hint: `tslxc volume destroy ${name}` })
  }
  if (existsSync(dir) && !isBare(dir)) {
    throw new ExistsError(`cannot create volume '${name}': '${dir}' holds files and no ${DATA_VOLUME}`, { hint: `move '${dir}' away` })
  }
}

/** Under its lock. @throws StateError that names the containers that run with it */
export function requireUnused(verb: string, name: string, running: readonly string[]): void {
  if (running.length === 0) return
  throw new StateError(
    'running',
    `cannot ${verb} volume '${name}': ${running.join(', ')} ${running.length === 1 ? 'runs' : 'run'} with it`,
    {
      hint: `tslxc stop ${running[0]}`,
    },
  )
}
