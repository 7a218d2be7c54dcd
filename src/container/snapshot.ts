/** Taking and removing snapshots of a container's root file system and configuration. */
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError, HostError, StateError } from '../lib/errors.ts'
import { ensureDir, fileError, readTextIfPresent, removeFile, renameDurable, syncDir, writeDurable, writeJson } from '../platform/files.ts'
import { syncFileSystem } from '../platform/trees.ts'
import type { Capabilities, Volume } from '../storage/driver.ts'
import { driverOf, volumeText } from '../storage/index.ts'
import { writeJournal } from './journal.ts'
import { sealVolume } from './pending.ts'
import { quiesced } from './quiesce.ts'
import { lockExisting } from './settle.ts'
import {
  ALL_SNAPSHOTS,
  checkSnapshotName,
  findSnapshot,
  listSnapshots,
  nextSnapshotName,
  removeSnapshotDir,
  SNAPSHOT,
  type Snapshot,
  type SnapshotRecord,
  snapshotDir,
  snapshotRef,
  snapshotsDir,
} from './snapshot-store.ts'
import {
  type Container,
  CREATING,
  DESTROYING,
  poolOf,
  readVolumeIn,
  rootfsRef,
  type StoreContext,
  stateOf,
  volumeFile,
  volumeRecord,
} from './store.ts'
import { listVolumes, requireVolume } from './volume-records.ts'

export interface SnapshotRequest {
  /** Absent: `snap` and the lowest free number. */
  readonly snapshot?: string | undefined
  readonly note?: string | undefined
  readonly expires?: Date | undefined
  readonly scheduled?: boolean
}

export interface SnapshotReport extends SnapshotRecord {
  readonly name: string
  readonly snapshot: string
  /** How long the container stood still for it. */
  readonly frozenMs?: number
  /** Every byte was copied: the store shares none. */
  readonly copied: boolean
}

type Usable = Extract<Capabilities, { usable: true }>

/**
 * Takes a snapshot, of a running container too.
 * @throws NotFoundError; ExistsError for a name that is taken; StateError for a container without a root file system
 */
export async function takeSnapshot(context: StoreContext, name: string, request: SnapshotRequest = {}): Promise<SnapshotReport> {
  if (request.snapshot !== undefined) checkSnapshotName(request.snapshot)
  using held = await lockExisting(context, name, 'take a snapshot of')
  const { container } = held
  const volume = await sealed(context, container, await requireVolume(context.paths, container, 'take a snapshot of'))
  const snapshot = request.snapshot ?? nextSnapshotName(container)
  await makeDir(container, snapshot)
  try {
    return await take(context, container, { snapshot, volume, request })
  } catch (error) {
    await removeSnapshotDir(context, container, snapshot)
    throw error
  }
}

/** A stopped container's volume in a form that others can share, where its store wants that first. */
async function sealed(context: StoreContext, container: Container, volume: Volume): Promise<Volume> {
  const driver = driverOf(context.paths, volume)
  if (driver.planSeal === undefined || stateOf(context.paths, container.name).state !== 'STOPPED') return volume
  const planned = await driver.planSeal(volume, rootfsRef(container, poolOf(volume)))
  return planned === undefined ? volume : await sealVolume(context, container, driver, planned)
}

async function makeDir(container: Container, snapshot: string): Promise<void> {
  await ensureDir(snapshotsDir(container))
  const dir = snapshotDir(container, snapshot)
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw fileError('create', dir, error)
    throw new ExistsError(`cannot take snapshot '${snapshot}' of '${container.name}': it already exists`, {
      hint: `tslxc snapshot -d ${snapshot} ${container.name}`,
    })
  }
  await syncDir(snapshotsDir(container))
}

interface Taking {
  readonly snapshot: string
  readonly volume: Volume
  readonly request: SnapshotRequest
}

async function take(context: StoreContext, container: Container, { snapshot, volume, request }: Taking): Promise<SnapshotReport> {
  const { paths, signal } = context
  const driver = driverOf(paths, volume)
  const at = snapshotRef(container, snapshot, poolOf(volume))
  const capabilities = await requireUsable(await driver.probe(at), container)
  await writeJournal(context, at.dir, [await driver.locate(at)])
  const config = (await readTextIfPresent(container.configFile)) ?? ''
  context.onStep?.({ text: `taking snapshot '${snapshot}' of '${container.name}'` })
  const { result: made, frozenMs } = await quiesced(context, container.name, capabilities, () => driver.snapshot(volume, at, { signal }))
  const record: SnapshotRecord = {
    created: new Date().toISOString(),
    ...(request.note === undefined ? {} : { note: request.note }),
    ...(request.expires === undefined ? {} : { expires: request.expires.toISOString() }),
    ...(request.scheduled === true ? { scheduled: true } : {}),
  }
  await writeJson(volumeFile(at.dir), volumeRecord(made))
  await writeDurable(join(at.dir, 'config.yaml'), config)
  await syncFileSystem(paths, at.dir)
  throwIfAborted(signal)
  const { stringify } = await import('yaml')
  await writeDurable(join(at.dir, SNAPSHOT), stringify(record))
  await removeFile(join(at.dir, CREATING))
  return { name: container.name, snapshot, ...record, ...(frozenMs === undefined ? {} : { frozenMs }), copied: !capabilities.cow }
}

function requireUsable(capabilities: Capabilities, { name }: Container): Usable {
  if (capabilities.usable) return capabilities
  throw new HostError(`cannot take a snapshot of '${name}': ${capabilities.reason}`, { hint: capabilities.hint })
}

/**
 * Removes a snapshot, or all of them (`ALL`), newest first.
 * @throws NotFoundError; StateError that names who needs it
 */
export async function removeSnapshots(context: StoreContext, name: string, snapshot: string): Promise<readonly Snapshot[]> {
  using held = await lockExisting(context, name, 'remove a snapshot of')
  const { container } = held
  const all = snapshot === ALL_SNAPSHOTS
  const wanted = all ? (await listSnapshots(container)).toReversed() : [await findSnapshot(container, snapshot, 'remove')]
  for (const one of wanted) await removeSnapshot(context, container, one)
  if (all) await rmdir(snapshotsDir(container)).catch(() => undefined)
  return wanted
}

/** Under the container's lock. */
export async function removeSnapshot(context: StoreContext, container: Container, snapshot: Snapshot): Promise<void> {
  throwIfAborted(context.signal)
  await requireNoDependents(context, container, snapshot)
  // The commit point: from here on there is no such snapshot, and only forward is possible.
  await renameDurable(join(snapshot.dir, SNAPSHOT), join(snapshot.dir, DESTROYING))
  await removeSnapshotDir(context, container, snapshot.name)
}

async function requireNoDependents({ paths }: StoreContext, { name }: Container, snapshot: Snapshot): Promise<void> {
  const volume = await readVolumeIn(snapshot.dir)
  if (volume === undefined) return
  const others = (await listVolumes(paths)).filter((other) => volumeText(other.volume) !== volumeText(volume))
  const found = await driverOf(paths, volume).dependents(
    volume,
    others.map((other) => other.volume),
  )
  if (found.length === 0) return
  const texts = new Set(found.map(volumeText))
  const owners = others.filter((other) => texts.has(volumeText(other.volume))).map(({ owner }) => `'${owner}'`)
  throw new StateError('state', `cannot remove snapshot '${snapshot.name}' of '${name}': ${owners.join(', ')} would break without it`, {
    hint: 'tslxc tree shows what was made from what',
  })
}
