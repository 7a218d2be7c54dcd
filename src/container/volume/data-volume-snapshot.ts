/** Snapshots of data volumes, and their restore. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { ExistsError, HostError, NotFoundError, StateError } from '../../lib/errors.ts'
import { ensureDir, fileError, removeFile, renameDurable, syncDir, writeDurable, writeJson } from '../../platform/files.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { Capabilities, Volume } from '../../storage/driver.ts'
import { driverOf, poolOf, volumeText } from '../../storage/index.ts'
import { writeJournal } from '../journal.ts'
import { replaceVolume } from '../pending.ts'
import { quiesced } from '../quiesce.ts'
import {
  checkSnapshotName,
  listSnapshots,
  nextSnapshotName,
  removeSnapshotDir,
  SNAPSHOT,
  type Snapshot,
  type SnapshotRecord,
  snapshotDir,
  snapshotRef,
  snapshotsDir,
} from '../snapshot/snapshot-store.ts'
import {
  type Container,
  CREATING,
  DESTROYING,
  lockContainer,
  readVolumeIn,
  type StoreContext,
  stateOf,
  volumeFile,
  volumeRecord,
} from '../store.ts'
import { listVolumes } from '../volume-records.ts'
import { type DataVolume, findDataVolume, lockDataVolume, requireUnused } from './data-volume.ts'
import { ownerOfVolume } from './data-volume-names.ts'
import { usersOf, type VolumeUser } from './data-volume-users.ts'

export interface VolumeSnapshotReport extends SnapshotRecord {
  readonly name: string
  readonly snapshot: string
  /** How long the first of the containers that run with it stood still. */
  readonly frozenMs?: number
}

export interface VolumeSnapshotRequest {
  /** Absent: `snap` and the lowest free number. */
  readonly snapshot?: string | undefined
  readonly note?: string | undefined
}

/** All containers that run with it stand still meanwhile, where its storage needs that. @throws NotFoundError · ExistsError */
export async function takeVolumeSnapshot(
  context: StoreContext,
  name: string,
  request: VolumeSnapshotRequest,
): Promise<VolumeSnapshotReport> {
  if (request.snapshot !== undefined) checkSnapshotName(request.snapshot)
  using _lock = await lockDataVolume(context, name)
  const found = await findDataVolume(context.paths, name, 'take a snapshot of')
  const owner = ownerOfVolume(context.paths, name)
  const snapshot = request.snapshot ?? nextSnapshotName(owner)
  await ensureDir(snapshotsDir(owner))
  const dir = snapshotDir(owner, snapshot)
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw fileError('create', dir, error)
    throw new ExistsError(`cannot take snapshot '${snapshot}' of volume '${name}': it already exists`, {
      hint: `tslxc volume snapshot -d ${snapshot} ${name}`,
    })
  }
  await syncDir(snapshotsDir(owner))
  try {
    return await take(context, owner, found, { ...request, snapshot })
  } catch (error) {
    await removeSnapshotDir(context, owner, snapshot)
    throw error
  }
}

type Named = VolumeSnapshotRequest & { readonly snapshot: string }

async function take(context: StoreContext, owner: Container, found: DataVolume, { snapshot, note }: Named): Promise<VolumeSnapshotReport> {
  const { paths, signal } = context
  const { name, volume } = found
  const driver = driverOf(paths, volume)
  const at = snapshotRef(owner, snapshot, poolOf(volume))
  const capabilities = await driver.probe(at)
  if (!capabilities.usable) {
    throw new HostError(`cannot take a snapshot of volume '${name}': ${capabilities.reason}`, { hint: capabilities.hint })
  }
  await writeJournal(context, at.dir, [await driver.locate(at)])
  const running = usersOf(paths, found).filter(({ isRunning }) => isRunning)
  const flush = async (): Promise<void> => {
    if (driver.rootfsPlan(volume).kind !== 'bind') await flushInside(context, running)
  }
  await flush()
  const { result: made, frozenMs } = await whileAllStandStill(
    context,
    running.map((user) => user.name),
    {
      capabilities,
      action: async () => {
        await flush()
        return await driver.snapshot(volume, at, { signal })
      },
    },
  )
  const record: SnapshotRecord = { created: new Date().toISOString(), ...(note === undefined ? {} : { note }) }
  await writeJson(volumeFile(at.dir), volumeRecord(made))
  await syncFileSystem(paths, at.dir)
  throwIfAborted(signal)
  const { stringify } = await import('yaml')
  await writeDurable(join(at.dir, SNAPSHOT), stringify(record))
  await removeFile(join(at.dir, CREATING))
  return { name, snapshot, ...record, ...(frozenMs === undefined ? {} : { frozenMs }) }
}

/** What its file system has not written yet to the device or image file that the snapshot is made of. */
async function flushInside({ paths }: StoreContext, running: readonly VolumeUser[]): Promise<void> {
  for (const { name, target } of running) {
    const { initPid } = stateOf(paths, name)
    if (initPid === undefined || target === undefined) continue
    await syncFileSystem(paths, `/proc/${initPid}/root${target}`)
    return // it is one file system, however many have it
  }
}

interface Quiet {
  readonly capabilities: Extract<Capabilities, { usable: true }>
  readonly action: () => Promise<Volume>
}

async function whileAllStandStill(
  context: StoreContext,
  names: readonly string[],
  quiet: Quiet,
): Promise<{ readonly result: Volume; readonly frozenMs?: number }> {
  const [first, ...others] = names
  if (first === undefined) return { result: await quiet.action() }
  const { result, frozenMs } = await quiesced(
    context,
    first,
    quiet.capabilities,
    async () => await whileAllStandStill(context, others, quiet),
  )
  return { result: result.result, ...(frozenMs === undefined ? {} : { frozenMs }) }
}

/**
 * Makes a volume what it was when a snapshot was taken. Until the new content is in place the old one is there; all
 * snapshots stay. The containers that have it are locked, so that none starts meanwhile.
 * @throws NotFoundError; StateError that names who runs with it
 */
export async function restoreVolumeSnapshot(
  context: StoreContext,
  name: string,
  snapshot: string,
): Promise<{ name: string; snapshot: string }> {
  const { paths, signal } = context
  const locks: { release(): void }[] = []
  try {
    const users = usersOf(paths, await findDataVolume(paths, name, 'restore')).map((user) => user.name)
    for (const user of users) locks.push(await lockContainer(context, user))
    locks.push(await lockDataVolume(context, name))
    const found = await findDataVolume(paths, name, 'restore')
    const running = usersOf(paths, found).filter((user) => user.isRunning || !users.includes(user.name))
    requireUnused(
      'restore',
      name,
      running.map((user) => user.name),
    )
    const owner = ownerOfVolume(paths, name)
    const { dir } = await findIn(owner, name, snapshot, 'restore')
    const kept = await readVolumeIn(dir)
    if (kept === undefined) throw new StateError('state', `cannot restore volume '${name}': snapshot '${snapshot}' has no volume.json`)
    const driver = driverOf(paths, kept)
    context.onStep?.({ text: `restoring volume '${name}' from '${snapshot}'` })
    await replaceVolume(context, owner, { old: found.volume, driver, pool: poolOf(kept), make: (at) => driver.clone(kept, at, { signal }) })
    return { name, snapshot }
  } finally {
    for (const lock of locks.reverse()) lock.release()
  }
}

/** @throws NotFoundError; StateError that names who needs it */
export async function removeVolumeSnapshot(context: StoreContext, name: string, snapshot: string): Promise<void> {
  const { paths } = context
  using _lock = await lockDataVolume(context, name)
  await findDataVolume(paths, name, 'remove a snapshot of')
  const owner = ownerOfVolume(paths, name)
  const { dir } = await findIn(owner, name, snapshot, 'remove')
  const volume = await readVolumeIn(dir)
  if (volume !== undefined) {
    const others = (await listVolumes(paths)).map((other) => other.volume).filter((other) => volumeText(other) !== volumeText(volume))
    if ((await driverOf(paths, volume).dependents(volume, others)).length > 0) {
      throw new StateError('state', `cannot remove snapshot '${snapshot}' of volume '${name}': a volume would break without it`)
    }
  }
  // The commit point, as for containers.
  await renameDurable(join(dir, SNAPSHOT), join(dir, DESTROYING))
  await removeSnapshotDir(context, owner, snapshot)
}

async function findIn(owner: Container, name: string, snapshot: string, verb: string): Promise<Snapshot> {
  const all = await listSnapshots(owner)
  const found = all.find((one) => one.name === snapshot)
  if (found !== undefined) return found
  const there = all.length === 0 ? 'it has no snapshots' : `there is ${all.map((one) => one.name).join(', ')}`
  throw new NotFoundError(`cannot ${verb} snapshot '${snapshot}' of volume '${name}': ${there}`, { hint: `tslxc volume show ${name}` })
}
