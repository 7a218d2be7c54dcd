/** A container from an archive, there whole or not at all. */
import { randomUUID } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSettings } from '../../compile/settings.ts'
import { writeCompiled } from '../../compile/write.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { checkName, nameProblem } from '../../lib/names.ts'
import { attachUndoErrors } from '../../lib/undo.ts'
import { ensureDir } from '../../platform/files.ts'
import { removeTree, syncFileSystem } from '../../platform/trees.ts'
import type { StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { volumeText } from '../../storage/index.ts'
import { isOwnFile, moveText } from '../copy/copy-files.ts'
import { chooseStorage, type StorageWish } from '../create/choose-storage.ts'
import { SNAPSHOT, snapshotDir, snapshotRef } from '../snapshot/snapshot-store.ts'
import { alreadyExists, containerExists, rootfsRef, type StoreContext, volumeFile, volumeRecord } from '../store.ts'
import { beginCreation, type Creation } from '../transaction.ts'
import { extractTree } from './archive-extract.ts'
import {
  broken,
  CHECKSUM,
  CONFIG,
  FILES,
  MANIFEST,
  type Manifest,
  MOST_TEXT_BYTES,
  RECORD_FILE,
  ROOTFS,
  readChecksum,
  readManifest,
  snapshotPath,
  snapshotRootfs,
} from './archive-format.ts'
import { type Input, openInput } from './archive-input.ts'
import { ArchiveReader, type Member } from './archive-reader.ts'
import { dressImported, type ImportedConfig, planImport, recordFrom } from './import-config.ts'

export interface ImportRequest {
  /** Path of the archive, or a descriptor it is read from. */
  readonly from: string | number
  /** Absent: the name in the archive. */
  readonly name?: string | undefined
  readonly storage: StorageWish
}

export interface ImportReport {
  readonly name: string
  /** In the archive. */
  readonly source: string
  /** Storage driver; absent: no root file system. */
  readonly storage?: string
  readonly snapshots: readonly string[]
  /** It is the same machine, moved; else the one it was exported from is still here, and this is a copy of it. */
  readonly sameMachine: boolean
  readonly addresses: readonly string[]
  readonly warnings: readonly string[]
}

interface Text {
  readonly content: Buffer
  readonly mode: number
}

interface Opened {
  readonly reader: ArchiveReader
  readonly input: Input
  readonly manifest: Manifest
  readonly texts: ReadonlyMap<string, Text>
  /** The first behind the texts. */
  readonly member: Member | undefined
}

/**
 * Nothing in the archive reaches beyond the container's own directory and volume; but its configuration is taken as the
 * administrator's own.
 * @throws ExistsError with LXC's phrase; TslxcError `state` for an archive that can't be taken; HostError `no-space`
 */
export async function importArchive(context: StoreContext, request: ImportRequest): Promise<ImportReport> {
  if (request.name !== undefined) refuseTaken(context, request.name)
  return await importInput(context, await openInput(request.from, context.signal), request)
}

/** The same of an input that is open already, and closed afterwards. */
export async function importInput(context: StoreContext, input: Input, request: Omit<ImportRequest, 'from'>): Promise<ImportReport> {
  try {
    return await importFrom(context, input, request)
  } catch (error) {
    throwIfAborted(context.signal)
    throw attachUndoErrors(await input.explain(error))
  } finally {
    await input.close()
  }
}

function refuseTaken({ paths }: StoreContext, name: string): void {
  checkName(name)
  if (containerExists(paths, name)) throw alreadyExists(name)
}

async function importFrom(context: StoreContext, input: Input, request: Omit<ImportRequest, 'from'>): Promise<ImportReport> {
  const opened = await openArchive(input)
  const name = request.name ?? opened.manifest.name
  refuseTaken(context, name)
  await using creation = await beginCreation(context, name)
  const { container } = creation
  const record = recordFrom(opened.texts.get(RECORD_FILE)?.content.toString('utf8'), opened.manifest)
  const text = opened.texts.get(CONFIG)?.content.toString('utf8')
  if (text === undefined) throw broken(`it holds no ${CONFIG}`)
  const config = await planImport(context, container, { manifest: opened.manifest, text, uuid: record.uuid })
  const volume = await makeVolumes(creation, opened, request, config)
  putFiles(creation, opened)
  if (volume !== undefined && !config.sameMachine) await dressImported(context, volume, config.hostname)
  await syncFileSystem(context.paths, container.dir)
  await creation.commit({
    config: config.render(volume === undefined ? undefined : volumeText(volume.volume)),
    record: config.sameMachine ? record : { ...record, uuid: randomUUID() },
    ...(volume === undefined ? {} : { volume: volume.volume }),
  })
  await writeCompiled(context.paths, name, { justMade: true }).catch(() => undefined)
  return {
    name,
    source: opened.manifest.name,
    ...(volume === undefined ? {} : { storage: volume.volume.driver }),
    snapshots: opened.manifest.snapshots.map((snapshot) => snapshot.name),
    sameMachine: config.sameMachine,
    addresses: config.addresses,
    warnings: config.warnings,
  }
}

/** Reads up to the first tree. */
async function openArchive(input: Input): Promise<Opened> {
  const reader = new ArchiveReader(input.parts, CHECKSUM)
  const first = await reader.next()
  if (first?.name !== MANIFEST) throw broken(`it does not begin with ${MANIFEST}`, 'pass an archive that tslxc export has written')
  const manifest = readManifest((await reader.whole(first, MOST_TEXT_BYTES)).toString('utf8'))
  const problem = nameProblem(manifest.name)
  if (problem !== undefined) throw broken(`its container has a name that can't be: ${problem}`)
  const names = manifest.snapshots.map(({ name }) => name)
  if (names.some((name) => nameProblem(name) !== undefined) || new Set(names).size < names.length) {
    throw broken('it has snapshots with names that can not be')
  }
  const texts = new Map<string, Text>()
  let member = await reader.next()
  for (; member !== undefined && member.type === '0' && isText(member.name, names); member = await reader.next()) {
    if (texts.has(member.name)) throw broken(`it holds '${member.name}' twice`)
    texts.set(member.name, { content: await reader.whole(member, MOST_TEXT_BYTES), mode: member.mode & 0o777 })
    if (texts.size > MOST_TEXTS) throw broken('it holds too many files beside the root file system')
  }
  return { reader, input, manifest, texts, member }
}

const MOST_TEXTS = 10_000

function isText(name: string, snapshots: readonly string[]): boolean {
  if (name === CONFIG || name === RECORD_FILE) return true
  if (name.startsWith(FILES)) return isPlain(name.slice(FILES.length))
  return snapshots.some((snapshot) => [SNAPSHOT, CONFIG].some((file) => name === `${snapshotPath(snapshot)}/${file}`))
}

const isPlain = (name: string): boolean => name !== '' && name !== '..' && !/[/\0]/.test(name) && isOwnFile(name)

interface Made {
  readonly driver: StorageDriver
  readonly volume: Volume
}

/** The root file system and the snapshots, and the checksum behind them. */
async function makeVolumes(
  creation: Creation,
  opened: Opened,
  request: Pick<ImportRequest, 'storage'>,
  config: ImportedConfig,
): Promise<Made | undefined> {
  const { context, container } = creation
  const { manifest } = opened
  if (manifest.rootfs === undefined) {
    await finishArchive(opened.reader, opened.member)
    return undefined
  }
  const { driver, pool } = await chooseStorage(context.paths, request.storage, readSettings(context.paths).storage, config.limitBytes)
  const needed = Math.max(manifest.rootfs.usedBytes, ...manifest.snapshots.map(({ rootfs }) => rootfs.usedBytes))
  // A device of the usual size may be too small for it.
  const size = pool.sizeBytes === undefined && needed > SMALL_BYTES ? { sizeBytes: Math.ceil((needed * 1.5) / MIB) * MIB } : {}
  const at = rootfsRef(container, { ...pool, ...size })
  await creation.announce([await driver.locate(at)])
  const volume = await driver.create(at, { signal: context.signal })
  let { member } = opened
  for (const { name, rootfs } of manifest.snapshots) {
    const part = { opened, member, top: snapshotRootfs(name), declared: rootfs }
    member = await fill(context, { driver, volume }, part)
    await keepSnapshot(creation, opened, { driver, volume, at, name, config })
    await empty(context, { driver, volume })
  }
  member = await fill(context, { driver, volume }, { opened, member, top: ROOTFS, declared: manifest.rootfs })
  await finishArchive(opened.reader, member)
  const limit = config.limitBytes
  return { driver, volume: limit === undefined || limit === volume.limitBytes ? volume : await driver.resize(volume, limit) }
}

const MIB = 1024 * 1024
const SMALL_BYTES = 512 * MIB

interface TreePart {
  readonly opened: Opened
  readonly member: Member | undefined
  readonly top: string
  readonly declared: { readonly usedBytes: number; readonly apparentBytes: number; readonly entries: number }
}

async function fill(
  context: StoreContext,
  { driver, volume }: Made,
  { opened, member, top, declared }: TreePart,
): Promise<Member | undefined> {
  const { reader, input, manifest } = opened
  if (member === undefined || (member.name !== top && !member.name.startsWith(`${top}/`))) {
    throw broken(member === undefined ? 'it is cut off' : `'${member.name}' stands where '${top}' is expected`)
  }
  const text = `importing '${manifest.name}'`
  const onProgress = (): void => {
    const total = input.totalBytes === undefined ? {} : { total: input.totalBytes }
    context.onStep?.({ text, done: input.readBytes(), ...total, unit: 'bytes' })
  }
  return await driver.withMounted(volume, (root) =>
    extractTree(root, { reader, member, top, declared, signal: context.signal, onProgress }),
  )
}

interface KeptSnapshot extends Made {
  readonly at: VolumeRef
  readonly name: string
  readonly config: ImportedConfig
}

async function keepSnapshot(creation: Creation, { texts }: Opened, kept: KeptSnapshot): Promise<void> {
  const { context, container } = creation
  const { driver, volume, at, name, config } = kept
  const dir = snapshotDir(container, name)
  await ensureDir(dir)
  const ref = snapshotRef(container, name, at.pool)
  await creation.announce([await driver.locate(ref)])
  const made = await driver.snapshot(volume, ref, { signal: context.signal })
  const text = (file: string): Buffer => {
    const found = texts.get(`${snapshotPath(name)}/${file}`)
    if (found === undefined) throw broken(`it lacks the ${file} of snapshot '${name}'`)
    return found.content
  }
  const write = (path: string, content: string | Uint8Array) => writeFileSync(path, content, { mode: 0o600 })
  write(volumeFile(dir), `${JSON.stringify(volumeRecord(made), null, 2)}\n`)
  write(join(dir, CONFIG), config.renderSnapshot(text(CONFIG).toString('utf8'), volumeText(volume)))
  write(join(dir, SNAPSHOT), text(SNAPSHOT))
}

async function empty({ paths }: StoreContext, { driver, volume }: Made): Promise<void> {
  await driver.withMounted(volume, async (root) => {
    for (const entry of await readdir(root)) await removeTree(paths, join(root, entry))
  })
}

/** Its last member says what all of it must hash to. */
async function finishArchive(reader: ArchiveReader, member: Member | undefined): Promise<void> {
  if (member === undefined) throw broken(`it ends without ${CHECKSUM}`)
  if (member.name !== CHECKSUM || member.type !== '0') throw broken(`'${member.name}' does not belong into it`)
  const { sha256, bytes } = readChecksum((await reader.whole(member, MOST_TEXT_BYTES)).toString('utf8'))
  if (bytes !== reader.bytes || sha256 !== reader.digest()) throw broken('its content is not what its checksum says')
  if ((await reader.next()) !== undefined) throw broken('something follows its checksum')
  await reader.drain()
}

function putFiles({ container }: Creation, { texts, manifest }: Opened): void {
  for (const [name, { content, mode }] of texts) {
    if (!name.startsWith(FILES)) continue
    const path = join(container.dir, name.slice(FILES.length))
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' })
    moveText(path, { name: manifest.name, dir: manifest.dir }, container)
    chmodSync(path, mode)
  }
}
