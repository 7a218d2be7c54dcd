/** Destroying and resizing data volumes, and what becomes of them when a container goes. */
import { join } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { StateError } from '../../lib/errors.ts'
import { renameDurable, writeDurable, writeJson } from '../../platform/files.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Usage } from '../../storage/driver.ts'
import { driverOf, volumeText } from '../../storage/index.ts'
import { snapshotNames } from '../snapshot/snapshot-store.ts'
import { type Container, DESTROYING, type StoreContext, volumeFile, volumeRecord } from '../store.ts'
import { listVolumes } from '../volume-records.ts'
import {
  type DataVolume,
  type DataVolumeRecord,
  findDataVolume,
  lockDataVolume,
  readDataVolume,
  requireUnused,
  sweepDataVolume,
} from './data-volume.ts'
import { DATA_VOLUME, dataVolumeExists, dataVolumeNames, ownerOfVolume } from './data-volume-names.ts'
import { mountsOf, usersOf, type VolumeUser } from './data-volume-users.ts'

export interface DataVolumeReport extends DataVolume {
  readonly users: readonly VolumeUser[]
  readonly snapshots: readonly string[]
  readonly usage?: Usage
}

/** Takes no lock. */
export async function describeDataVolume(paths: Paths, found: DataVolume, withUsage: boolean): Promise<DataVolumeReport> {
  const usage = withUsage ? await driverOf(paths, found.volume).usage(found.volume) : undefined
  return {
    ...found,
    users: usersOf(paths, found),
    snapshots: snapshotNames(ownerOfVolume(paths, found.name)).sort(),
    ...(usage === undefined ? {} : { usage }),
  }
}

export interface DestroyVolumeOptions {
  /** Also while stopped containers want it: they get an empty one at their next start. */
  readonly force: boolean
  readonly snapshots: boolean
}

/** @throws NotFoundError; StateError that names who has it, or its snapshots */
export async function destroyDataVolume(context: StoreContext, name: string, options: DestroyVolumeOptions): Promise<void> {
  const { paths } = context
  const owner = ownerOfVolume(paths, name)
  using _lock = await lockDataVolume(context, name)
  const found = await findDataVolume(paths, name, 'destroy')
  const users = usersOf(paths, found)
  requireUnused(
    'destroy',
    name,
    users.filter(({ isRunning }) => isRunning).map((user) => user.name),
  )
  if (users.length > 0 && !options.force) {
    throw new StateError('state', `cannot destroy volume '${name}': it belongs to ${users.map((user) => user.name).join(', ')}`, {
      hint: `tslxc volume destroy --force ${name}`,
    })
  }
  const snapshots = snapshotNames(owner).sort()
  if (snapshots.length > 0 && !options.snapshots) {
    throw new StateError('state', `cannot destroy volume '${name}': it has snapshots (${snapshots.join(', ')})`, {
      hint: `tslxc volume destroy --snapshots ${name}`,
    })
  }
  await requireNoDependents(paths, found)
  await remove(context, owner)
}

async function remove(context: StoreContext, owner: Container): Promise<void> {
  throwIfAborted(context.signal)
  // The commit point: from here on there is no such volume, and only forward is possible.
  await renameDurable(owner.configFile, join(owner.dir, DESTROYING))
  await sweepDataVolume(context, owner)
}

async function requireNoDependents(paths: Paths, { name, volume }: DataVolume): Promise<void> {
  const prefix = `volume ${name}`
  const others = (await listVolumes(paths)).filter(({ owner }) => owner !== prefix && !owner.startsWith(`${prefix}@`))
  const broken = await driverOf(paths, volume).dependents(
    volume,
    others.map((other) => other.volume),
  )
  if (broken.length === 0) return
  const texts = new Set(broken.map(volumeText))
  const owners = others.filter((other) => texts.has(volumeText(other.volume))).map(({ owner }) => owner)
  throw new StateError('state', `cannot destroy volume '${name}': ${owners.join(', ')} would break without it`)
}

/**
 * Its largest size from now on; undefined: none. Growing works while it is in use.
 * @throws NotFoundError; HostError when the content is larger, or the store can't enforce it
 */
export async function resizeDataVolume(context: StoreContext, name: string, size: number | undefined): Promise<DataVolume> {
  const { paths } = context
  using _lock = await lockDataVolume(context, name)
  const found = await findDataVolume(paths, name, 'resize')
  const owner = ownerOfVolume(paths, name)
  const volume = await driverOf(paths, found.volume).resize(found.volume, size)
  await writeJson(volumeFile(owner.dir), volumeRecord(volume))
  const { created, madeFor, keep } = found
  const record: DataVolumeRecord = {
    created,
    ...(madeFor === undefined ? {} : { madeFor }),
    ...(size === undefined ? {} : { size }),
    ...(keep === undefined ? {} : { keep }),
  }
  const { stringify } = await import('yaml')
  await writeDurable(join(owner.dir, DATA_VOLUME), stringify(record))
  return { name, volume, ...record }
}

export interface VolumeFate {
  readonly name: string
  /** Why it stays; absent: it goes with the container. */
  readonly stays?: string
}

/** What becomes of a container's data volumes when it goes, by `file`: its configuration, under whatever name. */
export async function fatesOf(paths: Paths, container: Container, file: string): Promise<readonly VolumeFate[]> {
  if (dataVolumeNames(paths).length === 0) return []
  const fates: VolumeFate[] = []
  for (const { volume: name, keep } of mountsOf(paths, container, file) ?? []) {
    const found = await readDataVolume(paths, name)
    if (found === undefined) continue
    const others = usersOf(paths, found).filter((user) => user.name !== container.name)
    const snapshots = snapshotNames(ownerOfVolume(paths, name))
    if (keep ?? found.keep) fates.push({ name, stays: 'it is to be kept' })
    else if (others.length > 0) fates.push({ name, stays: `${others.map((user) => user.name).join(', ')} uses it` })
    else if (snapshots.length > 0) fates.push({ name, stays: 'it has snapshots' })
    else fates.push({ name })
  }
  return fates
}

/** Of a container that is no more; done twice it does nothing. */
export async function removeVolumesOf(context: StoreContext, container: Container, file: string): Promise<void> {
  for (const { name, stays } of await fatesOf(context.paths, container, file)) {
    if (stays !== undefined) continue
    using _lock = await lockDataVolume(context, name)
    if (dataVolumeExists(context.paths, name)) await remove(context, ownerOfVolume(context.paths, name))
  }
}
