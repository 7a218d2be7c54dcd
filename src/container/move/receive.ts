/** What `send` writes becomes a container, or a newer state of one that was received before. */
import { randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSettings } from '../../compile/settings.ts'
import { writeCompiled } from '../../compile/write.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { HostError, NotFoundError, StateError, UsageError } from '../../lib/errors.ts'
import { checkName } from '../../lib/names.ts'
import { attachUndoErrors } from '../../lib/undo.ts'
import { startPiped } from '../../platform/exec.ts'
import { ensureDir, readTextIfPresent, removeFile, writeDurable, writeJson } from '../../platform/files.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { Pool, StorageDriver, Volume, VolumeRef, VolumeStream } from '../../storage/driver.ts'
import { poolOf, storageDriver, volumeText } from '../../storage/index.ts'
import { chooseStorage, type StorageWish } from '../create/choose-storage.ts'
import { writeJournal } from '../journal.ts'
import { replaceVolume } from '../pending.ts'
import { lockExisting } from '../settle.ts'
import {
  checkSnapshotName,
  listSnapshots,
  removeSnapshotDir,
  SNAPSHOT,
  snapshotDir,
  snapshotRef,
  snapshotsDir,
} from '../snapshot/snapshot-store.ts'
import {
  alreadyExists,
  type Container,
  CREATING,
  containerExists,
  readVolumeIn,
  rootfsRef,
  type StoreContext,
  stateOf,
  volumeFile,
  volumeRecord,
} from '../store.ts'
import { beginCreation } from '../transaction.ts'
import { requireVolume } from '../volume-records.ts'
import { CONFIG } from './archive-format.ts'
import { inputOf } from './archive-input.ts'
import { feed } from './archive-writer.ts'
import { importInput } from './import.ts'
import { dressImported, planImport, recordFrom } from './import-config.ts'
import { FrameReader, MARK } from './transfer-frames.ts'
import { readHeader, type StreamHeader } from './transfer-header.ts'

export interface ReceiveRequest {
  /** Absent: the name it has where it was sent. */
  readonly name?: string | undefined
  readonly storage: StorageWish
}

export interface ReceiveReport {
  readonly name: string
  readonly source: string
  readonly storage?: string
  readonly snapshot?: string
  /** It was there before, and has a newer state now. */
  readonly updated: boolean
  readonly warnings: readonly string[]
}

type Stream = AsyncIterable<Buffer> & { destroy(): unknown }

interface Receiving {
  readonly reader: FrameReader
  readonly header: StreamHeader
  readonly name: string
}

/**
 * Reads a stream to its end, which is checked before anything of it counts.
 * @throws ExistsError with LXC's phrase; NotFoundError for a base that is not here; TslxcError `state` for a stream that can't be taken
 */
export async function receiveContainer(context: StoreContext, from: Stream, request: ReceiveRequest): Promise<ReceiveReport> {
  if (request.name !== undefined) checkName(request.name)
  context.signal?.addEventListener('abort', () => from.destroy(), { once: true })
  const { isNative, all } = await peek(from)
  if (!isNative) {
    const input = await inputOf(all, { signal: context.signal })
    const { name, source, storage, warnings } = await importInput(context, input, request)
    return { name, source, ...(storage === undefined ? {} : { storage }), updated: false, warnings }
  }
  try {
    const reader = new FrameReader(all)
    const header = readHeader((await reader.header()).toString('utf8'))
    const name = request.name ?? header.name
    checkName(name)
    if (header.snapshot !== undefined) checkSnapshotName(header.snapshot.name)
    const receiving = { reader, header, name }
    return header.base === undefined ? await makeNew(context, receiving, request) : await update(context, receiving, header.base)
  } catch (error) {
    throwIfAborted(context.signal)
    throw attachUndoErrors(error)
  } finally {
    from.destroy()
  }
}

async function peek(from: Stream): Promise<{ readonly isNative: boolean; readonly all: Stream }> {
  const iterator = from[Symbol.asyncIterator]()
  const first: Buffer[] = []
  for (let held = 0; held < MARK.length; ) {
    const { value, done } = await iterator.next()
    if (done === true) break
    first.push(value)
    held += value.length
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield* first
    for (let part = await iterator.next(); part.done !== true; part = await iterator.next()) yield part.value
  }
  const isNative = Buffer.concat(first).subarray(0, MARK.length).equals(MARK)
  return { isNative, all: Object.assign(all(), { destroy: () => from.destroy() }) }
}

function streamOf(driver: StorageDriver, { kind, name }: StreamHeader): VolumeStream {
  if (driver.name === kind && driver.stream !== undefined) return driver.stream
  throw new UsageError(`cannot receive '${name}': it is a stream of ${kind}, and the storage here is ${driver.name}`, {
    hint: `pass -B ${kind}, or send it with --format file`,
  })
}

/** The whole content. The container runs from a clone of what was received. */
async function makeNew(context: StoreContext, { reader, header, name }: Receiving, request: ReceiveRequest): Promise<ReceiveReport> {
  const { paths, signal } = context
  if (containerExists(paths, name)) throw alreadyExists(name)
  const { driver, pool } = await chooseHere(context, header, request.storage)
  const stream = streamOf(driver, header)
  await using creation = await beginCreation(context, name)
  const { container } = creation
  const manifest = { name: header.name, dir: header.dir }
  const record = recordFrom(header.record, {})
  const config = await planImport(context, container, { manifest, text: header.config, uuid: record.uuid })
  const mark = header.snapshot?.name ?? `received-${randomBytes(4).toString('hex')}`
  const as = snapshotRef(container, mark, pool)
  await ensureDir(as.dir)
  const { made, argv } = await stream.receiver(as)
  const at = rootfsRef(container, pool)
  await creation.announce([made, await driver.locate(at)])
  await pour(context, reader, { argv, name })
  await stream.received(made)
  const cloned = await driver.clone(made, at, { signal })
  const limit = config.limitBytes
  const volume = limit === undefined ? cloned : await driver.resize(cloned, limit)
  if (header.snapshot === undefined) await removeSnapshotDir(context, container, await recorded(as.dir, made, mark))
  else {
    putTexts(as, { made, config: config.renderSnapshot(header.config, volumeText(volume)), snapshot: header.snapshot.text })
  }
  if (!config.sameMachine) await dressImported(context, { driver, volume }, config.hostname)
  await syncFileSystem(paths, container.dir)
  await creation.commit({
    config: config.render(volumeText(volume)),
    record: config.sameMachine ? record : { ...record, uuid: randomUUID() },
    volume,
  })
  await writeCompiled(paths, name, { justMade: true }).catch(() => undefined)
  return { ...reportOf(header, name, volume), updated: false, warnings: config.warnings }
}

async function chooseHere(context: StoreContext, header: StreamHeader, wish: StorageWish): Promise<{ driver: StorageDriver; pool: Pool }> {
  const { storage } = readSettings(context.paths)
  // Where nothing is said, the storage whose stream it is, if it can be used here.
  if (wish.bdev !== undefined) return await chooseStorage(context.paths, wish, storage)
  try {
    return await chooseStorage(context.paths, { ...wish, bdev: header.kind }, storage)
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    throw new HostError(`cannot receive '${header.name}': it is a stream of ${header.kind}: ${error.message}`, {
      hint: 'send it with --format file',
      cause: error,
    })
  }
}

/** Its directory says what there is to remove. */
async function recorded(dir: string, made: Volume, mark: string): Promise<string> {
  await writeJson(volumeFile(dir), volumeRecord(made))
  return mark
}

interface SnapshotTexts {
  readonly made: Volume
  readonly config: string
  readonly snapshot: string
}

function putTexts({ dir }: VolumeRef, { made, config, snapshot }: SnapshotTexts): void {
  writeFileSync(volumeFile(dir), `${JSON.stringify(volumeRecord(made), null, 2)}\n`, { mode: 0o600 })
  writeFileSync(join(dir, CONFIG), config, { mode: 0o600 })
  writeFileSync(join(dir, SNAPSHOT), snapshot, { mode: 0o600 })
}

/** Into the store's own program; on return the end of the stream was there, and right. */
async function pour(
  { signal, onStep }: StoreContext,
  reader: FrameReader,
  { argv, name }: { argv: readonly string[]; name: string },
): Promise<void> {
  const program = startPiped(argv, { stdin: 'pipe', stdout: 'ignore', signal })
  let done = 0
  try {
    for await (const part of reader.data()) {
      await feed(program, part)
      done += part.length
      onStep?.({ text: `receiving '${name}'`, done, unit: 'bytes' })
    }
    program.stdin?.end()
    await program.ended
  } finally {
    program.kill()
    await program.ended.catch(() => undefined)
  }
}

/** Only what differs: a new snapshot, and the container becomes what that is. Its configuration stays. */
async function update(context: StoreContext, receiving: Receiving, base: NonNullable<StreamHeader['base']>): Promise<ReceiveReport> {
  const { header, name, reader } = receiving
  const { paths, signal } = context
  if (!containerExists(paths, name)) throw noBase(receiving, base)
  using held = await lockExisting(context, name, 'receive')
  const { container } = held
  if (stateOf(paths, name).state !== 'STOPPED') {
    throw new StateError('running', `cannot receive '${name}': it is running`, { hint: `tslxc stop ${name}` })
  }
  const old = await requireVolume(paths, container, 'receive')
  const driver = storageDriver(paths, old.driver)
  const stream = streamOf(driver, header)
  const from = await findBase(container, stream, base)
  if (from === undefined) throw noBase(receiving, base)
  const as = snapshotRef(container, header.snapshot?.name ?? `received-${randomBytes(4).toString('hex')}`, poolOf(from))
  await ensureDir(snapshotsDir(container))
  await mkdir(as.dir, { mode: 0o700 }).catch(() => {
    throw new StateError('state', `cannot receive '${name}': it has a snapshot '${header.snapshot?.name}' already`, {
      hint: `tslxc snapshot -d ${header.snapshot?.name} ${name}`,
    })
  })
  const mark = as.label.slice(as.label.indexOf('@') + 1)
  let made: Volume
  try {
    const receiver = await stream.receiver(as, from)
    made = receiver.made
    await writeJournal(context, as.dir, [made])
    await pour(context, reader, { argv: receiver.argv, name })
    await stream.received(made)
    await replaceVolume(context, container, { old, driver, pool: poolOf(from), make: (at) => driver.clone(made, at, { signal }) })
  } catch (error) {
    await removeSnapshotDir(context, container, mark)
    throw error
  }
  if (header.snapshot === undefined) await removeSnapshotDir(context, container, mark)
  else await keep(as, container, { made, snapshot: header.snapshot.text })
  await writeCompiled(paths, name, { justMade: true }).catch(() => undefined)
  return { ...reportOf(header, name, made), updated: true, warnings: [] }
}

async function keep({ dir }: VolumeRef, container: Container, { made, snapshot }: Omit<SnapshotTexts, 'config'>): Promise<void> {
  await writeJson(volumeFile(dir), volumeRecord(made))
  await writeDurable(join(dir, CONFIG), (await readTextIfPresent(container.configFile)) ?? '')
  await writeDurable(join(dir, SNAPSHOT), snapshot)
  await removeFile(join(dir, CREATING))
}

async function findBase(
  container: Container,
  stream: VolumeStream,
  { identity }: { readonly identity: string },
): Promise<Volume | undefined> {
  for (const { name } of await listSnapshots(container)) {
    const volume = await readVolumeIn(snapshotDir(container, name))
    if (volume !== undefined && (await stream.identity(volume).catch(() => '')) === identity) return volume
  }
  return undefined
}

const noBase = ({ name, header }: Receiving, base: { readonly name: string }): NotFoundError =>
  new NotFoundError(`cannot receive '${name}': its snapshot '${base.name}', which the stream builds on, is not here`, {
    hint: `tslxc send ${header.name} --snapshot ${base.name} | … tslxc receive ${name}`,
  })

const reportOf = (header: StreamHeader, name: string, { driver }: Volume) => ({
  name,
  source: header.name,
  storage: driver,
  ...(header.snapshot === undefined ? {} : { snapshot: header.snapshot.name }),
})
