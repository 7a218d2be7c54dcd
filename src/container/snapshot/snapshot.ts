/**
 * Taking snapshots of containers' root file systems and configurations, of one or of many in step: what has to be on the
 * disk before the next step is flushed once for all of them.
 *
 * creating.json is there from before the volume is made; snapshot.yaml, written aside first, makes the snapshot exist by
 * a rename. A failing container drops out, undone, and holds up no other.
 */
import { existsSync, renameSync, statSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { BusyError, ExistsError, HostError } from '../../lib/errors.ts'
import { loadAddon } from '../../platform/addon.ts'
import { ensureDir, fileError, jsonText, readTextIfPresent, writeUnflushed } from '../../platform/files.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { Capabilities, StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { driverOf, poolOf } from '../../storage/index.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { writeJournal } from '../journal.ts'
import { forMany, type Outcome } from '../many.ts'
import { sealVolume } from '../pending.ts'
import { quiesced } from '../quiesce.ts'
import { type HeldContainer, lockExisting } from '../settle.ts'
import { type Container, CREATING, rootfsRef, type StoreContext, stateOf, volumeFile, volumeRecord } from '../store.ts'
import { requireVolume } from '../volume-records.ts'
import {
  checkSnapshotName,
  nextSnapshotName,
  removeSnapshotDir,
  SNAPSHOT,
  type SnapshotRecord,
  snapshotDir,
  snapshotRef,
  snapshotsDir,
} from './snapshot-store.ts'

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

/** One on its way. */
interface Taking {
  readonly name: string
  readonly held: HeldContainer
  readonly snapshot: string
  readonly volume: Volume
  readonly driver: StorageDriver
  readonly at: VolumeRef
  readonly capabilities: Usable
}

interface Taken extends Taking {
  readonly record: SnapshotRecord
  readonly frozenMs?: number
}

/**
 * Takes a snapshot, of a running container too.
 * @throws NotFoundError; ExistsError for a name that is taken; StateError for a container without a root file system
 */
export async function takeSnapshot(context: StoreContext, name: string, request: SnapshotRequest = {}): Promise<SnapshotReport> {
  const [outcome] = await takeInStep(context, [name], request)
  if (outcome?.result !== undefined) return outcome.result
  throw outcome?.error
}

/** In the order of the names. One that is worked on by another command is waited for when the others are done. */
export async function takeSnapshots(
  context: StoreContext,
  names: readonly string[],
  request: SnapshotRequest,
): Promise<readonly Outcome<SnapshotReport>[]> {
  if (names.length < 2) return await takeInStep(context, names, request)
  const outcomes = await takeInStep({ ...context, lockTimeoutMs: 0 }, names, request)
  const busy = outcomes.filter(({ error }) => error instanceof BusyError).map(({ name }) => name)
  const later = await forMany(context, busy, (name) => takeSnapshot(context, name, request))
  return outcomes.map((outcome) => later.find(({ name }) => name === outcome.name) ?? outcome)
}

async function takeInStep(
  context: StoreContext,
  names: readonly string[],
  request: SnapshotRequest,
): Promise<readonly Outcome<SnapshotReport>[]> {
  if (request.snapshot !== undefined) checkSnapshotName(request.snapshot)
  const outcomes = new Map<string, Outcome<SnapshotReport>>()
  const held: Disposable[] = []
  const step = async <I extends { readonly name: string }, O>(items: readonly I[], action: (item: I) => Promise<O>): Promise<O[]> => {
    const of = new Map(items.map((item) => [item.name, item]))
    const done = await forMany(context, [...of.keys()], (name) => action(of.get(name) as I))
    for (const outcome of done) if (outcome.error !== undefined) outcomes.set(outcome.name, { name: outcome.name, error: outcome.error })
    return done.flatMap(({ result }) => (result === undefined ? [] : [result]))
  }
  try {
    const begun = await step(
      names.map((name) => ({ name })),
      ({ name }) => begin(context, name, { request, held }),
    )
    // The directories above are older than the file: no journal of a file system writes it without them.
    await flush(context, begun, ({ at }) => [join(at.dir, CREATING)])
    const made = await step(begun, (taking) => undone(context, taking, () => make(context, taking, request)))
    await flush(context, made, ({ at }) => [volumeFile(at.dir), join(at.dir, 'config.yaml'), asideFile(at)])
    const taken = await step(made, (taking) => undone(context, taking, () => commit(context, taking)))
    await flush(context, taken, ({ at }) => [at.dir])
    // One that comes back after a power cut means nothing any more.
    for (const { at } of taken) await rm(join(at.dir, CREATING), { force: true })
    for (const one of taken) outcomes.set(one.name, { name: one.name, result: reportOf(one) })
  } finally {
    for (const one of held) one[Symbol.dispose]()
  }
  return names.map((name) => outcomes.get(name) ?? { name, error: undefined })
}

async function undone<T>(context: StoreContext, { held: { container }, snapshot }: Taking, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    await removeSnapshotDir(context, container, snapshot)
    throw error
  }
}

/** Brings files to the disk: one by one when they are few, else all that their file systems have to write. */
async function flush<T extends Taking>(
  { paths }: StoreContext,
  takings: readonly T[],
  filesOf: (taking: T) => readonly string[],
): Promise<void> {
  const [only, ...more] = takings
  if (only === undefined) return
  // What was copied file by file has to be there as well.
  if (more.length === 0 && only.capabilities.cow) {
    for (const file of filesOf(only)) loadAddon(paths.installRoot).syncPath(file)
    return
  }
  const fileSystems = new Map(takings.map(({ at }) => [statSync(at.dir).dev, at.dir]))
  await Promise.all([...fileSystems.values()].map((dir) => syncFileSystem(paths, dir)))
}

async function begin(
  context: StoreContext,
  name: string,
  { request, held }: { readonly request: SnapshotRequest; readonly held: Disposable[] },
): Promise<Taking> {
  const locked = await lockExisting(context, name, 'take a snapshot of')
  held.push(locked)
  const { container } = locked
  await requireNotMounted(container, 'take a snapshot of', 'writable')
  const volume = await sealed(context, container, await requireVolume(context.paths, container, 'take a snapshot of'))
  const driver = driverOf(context.paths, volume)
  const snapshot = request.snapshot ?? nextSnapshotName(container)
  const at = snapshotRef(container, snapshot, poolOf(volume))
  const capabilities = requireUsable(await driver.probe({ ...at, dir: container.dir }), container)
  await makeDir(container, snapshot)
  const taking: Taking = { name, held: locked, snapshot, volume, driver, at, capabilities }
  return await undone(context, taking, async () => {
    await writeJournal(context, at.dir, [await driver.locate(at)], false)
    return taking
  })
}

/** A stopped container's volume in a form that others can share, where its store wants that first. */
async function sealed(context: StoreContext, container: Container, volume: Volume): Promise<Volume> {
  const driver = driverOf(context.paths, volume)
  if (driver.planSeal === undefined || stateOf(context.paths, container.name).state !== 'STOPPED') return volume
  const planned = await driver.planSeal(volume, rootfsRef(container, poolOf(volume)))
  return planned === undefined ? volume : await sealVolume(context, container, driver, planned)
}

function requireUsable(capabilities: Capabilities, { name }: Container): Usable {
  if (capabilities.usable) return capabilities
  throw new HostError(`cannot take a snapshot of '${name}': ${capabilities.reason}`, { hint: capabilities.hint })
}

async function makeDir(container: Container, snapshot: string): Promise<void> {
  await ensureDir(snapshotsDir(container))
  const dir = snapshotDir(container, snapshot)
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    if (!existsSync(dir)) throw fileError('create', dir, error)
    throw new ExistsError(`cannot take snapshot '${snapshot}' of '${container.name}': it already exists`, {
      hint: `tslxc snapshot -d ${snapshot} ${container.name}`,
    })
  }
}

async function make(context: StoreContext, taking: Taking, request: SnapshotRequest): Promise<Taken> {
  const { name, at, driver, volume, capabilities, snapshot, held } = taking
  const { signal } = context
  throwIfAborted(signal)
  const config = (await readTextIfPresent(held.container.configFile)) ?? ''
  context.onStep?.({ text: `taking snapshot '${snapshot}' of '${name}'` })
  const { result: made, frozenMs } = await quiesced(context, name, capabilities, () => driver.snapshot(volume, at, { signal }))
  const record: SnapshotRecord = {
    created: new Date().toISOString(),
    ...(request.note === undefined ? {} : { note: request.note }),
    ...(request.expires === undefined ? {} : { expires: request.expires.toISOString() }),
    ...(request.scheduled === true ? { scheduled: true } : {}),
  }
  writeUnflushed(volumeFile(at.dir), jsonText(volumeRecord(made)))
  writeUnflushed(join(at.dir, 'config.yaml'), config)
  writeUnflushed(asideFile(at), recordText(record))
  return { ...taking, record, ...(frozenMs === undefined ? {} : { frozenMs }) }
}

/** YAML, whose strings may be JSON's. */
const recordText = (record: SnapshotRecord): string =>
  Object.entries(record)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('')

/** Named as what a command that died leaves of a file it was writing. */
const asideFile = ({ dir }: VolumeRef): string => join(dir, `.${SNAPSHOT}.${process.pid}.0.tmp`)

async function commit({ signal }: StoreContext, taken: Taken): Promise<Taken> {
  throwIfAborted(signal)
  renameSync(asideFile(taken.at), join(taken.at.dir, SNAPSHOT))
  return taken
}

const reportOf = ({ name, snapshot, record, frozenMs, capabilities }: Taken): SnapshotReport => ({
  name,
  snapshot,
  ...record,
  ...(frozenMs === undefined ? {} : { frozenMs }),
  copied: !capabilities.cow,
})
