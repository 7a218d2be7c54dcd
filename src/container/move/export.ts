/** One archive of a container: configuration, root file system, on request its snapshots. */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, rmSync, statSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { ExistsError, UsageError } from '../../lib/errors.ts'
import { fileMember } from '../../lib/tar.ts'
import { loadAddon } from '../../platform/addon.ts'
import { fileError, readTextIfPresent, syncDir } from '../../platform/files.ts'
import type { Volume } from '../../storage/driver.ts'
import { isOwnFile } from '../copy/copy-files.ts'
import type { CopySource } from '../copy/copy-source.ts'
import { listSnapshots, SNAPSHOT, type Snapshot } from '../snapshot/snapshot-store.ts'
import { entriesOf, readVolumeIn, type StoreContext } from '../store.ts'
import {
  CONFIG,
  FILES,
  FORMAT,
  FORMAT_VERSION,
  MANIFEST,
  type Manifest,
  MOST_TEXT_BYTES,
  RECORD_FILE,
  ROOTFS,
  snapshotPath,
  snapshotRootfs,
  type Tree,
} from './archive-format.ts'
import { type Compression, type Output, openOutput, Sealer, treeBytes } from './archive-writer.ts'
import { whileStill, withReadable, withSource } from './transfer-source.ts'

export interface ExportRequest {
  /** Path of the archive, or a descriptor it is written to. */
  readonly to: string | number
  readonly snapshots: boolean
  readonly compression: Compression
  readonly allowRunning: boolean
  /** Replaces a file that is there. */
  readonly force: boolean
  /** Of the program, for the manifest. */
  readonly version: string
  /** This snapshot, and not the container as it is now. */
  readonly snapshot?: string | undefined
}

export interface ExportReport {
  readonly name: string
  /** Absent: written to standard output. */
  readonly file?: string
  readonly snapshots: readonly string[]
  /** Of the tar stream, before it was compressed. */
  readonly bytes: number
  /** Of the archive; absent for standard output. */
  readonly archiveBytes?: number
  readonly sha256: string
  readonly frozenMs?: number
  /** What was left out: sockets. */
  readonly notes: readonly string[]
}

type Written = Pick<ExportReport, 'bytes' | 'sha256' | 'snapshots' | 'notes'>

/**
 * Writes the archive whole, or none.
 * @throws NotFoundError · ExistsError · StateError for a running one whose storage has no snapshots at once · HostError
 */
export async function exportContainer(context: StoreContext, name: string, request: ExportRequest): Promise<ExportReport> {
  const { to } = request
  const put = async (fd: number): Promise<Written & { frozenMs?: number }> =>
    await withSource(context, { name, snapshot: request.snapshot }, 'export', async (source) => {
      const { result, ...frozen } = await whileStill(context, source, { verb: 'export', allowRunning: request.allowRunning }, (volume) =>
        writeArchive(context, source, volume, { ...request, fd }),
      )
      return { ...result, ...frozen }
    })
  if (typeof to === 'number') return { name, ...(await put(to)) }
  const file = resolve(to)
  if (existsSync(file) && (!request.force || !statSync(file).isFile())) {
    throw new ExistsError(`cannot export '${name}': '${file}' already exists`, { hint: 'pass --force, or another file' })
  }
  const written = await beside(file, put)
  return { name, file, ...written, archiveBytes: statSync(file).size }
}

/** A file that has its name when it is whole. */
async function beside<T>(file: string, put: (fd: number) => Promise<T>): Promise<T> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx', 0o600).catch((error: unknown) => {
    throw fileError('write', file, error)
  })
  try {
    const result = await put(handle.fd)
    await handle.sync()
    await handle.close()
    await rename(temporary, file)
    await syncDir(dirname(file))
    return result
  } catch (error) {
    await handle.close().catch(() => undefined)
    rmSync(temporary, { force: true })
    throw error
  }
}

interface Writing extends ExportRequest {
  readonly fd: number
}

interface Part {
  readonly top: string
  readonly volume: Volume
}

async function writeArchive(context: StoreContext, source: CopySource, volume: Volume | undefined, request: Writing): Promise<Written> {
  const snapshots = request.snapshots ? await listSnapshots(source.container) : []
  const parts: Part[] = []
  for (const { name, dir } of snapshots) {
    const kept = await readVolumeIn(dir)
    if (kept === undefined) throw new UsageError(`cannot export snapshot '${name}': it has no volume.json`)
    parts.push({ top: snapshotRootfs(name), volume: kept })
  }
  if (volume !== undefined) parts.push({ top: ROOTFS, volume })
  context.onStep?.({ text: `looking at '${source.container.name}'` })
  const trees: Tree[] = []
  for (const part of parts)
    trees.push(await withReadable(context.paths, part.volume, (root) => loadAddon(context.paths.installRoot).treeUsage(`${root}/.`)))
  const output = openOutput(request.fd, request.compression, context.signal)
  try {
    const sealer = new Sealer(output.write)
    const about = manifestOf(source, request.version, snapshots, trees)
    await writeTexts(sealer, source, about, snapshots)
    const notes = await writeTrees(context, sealer, { name: source.container.name, parts, trees })
    const sha256 = await sealer.finish()
    await output.end()
    return { bytes: sealer.bytes, sha256, snapshots: snapshots.map(({ name }) => name), notes }
  } catch (error) {
    await abandon(output)
    throw error
  }
}

const abandon = (output: Output): Promise<void> => output.abort()

function manifestOf(source: CopySource, version: string, snapshots: readonly Snapshot[], trees: readonly Tree[]): Manifest {
  const { container, record, volume } = source
  const own = trees[snapshots.length]
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    name: container.name,
    dir: container.dir,
    ...(record === undefined ? {} : { uuid: record.uuid, guest: record.guest }),
    driver: volume?.driver ?? 'none',
    ...(volume?.limitBytes === undefined ? {} : { limitBytes: volume.limitBytes }),
    createdAt: new Date().toISOString(),
    tslxc: version,
    ...(own === undefined ? {} : { rootfs: own }),
    snapshots: snapshots.map(({ name }, at) => ({ name, rootfs: trees[at] ?? { usedBytes: 0, apparentBytes: 0, entries: 0 } })),
  }
}

async function writeTexts(sealer: Sealer, source: CopySource, about: Manifest, snapshots: readonly Snapshot[]): Promise<void> {
  const text = (name: string, content: string | Uint8Array, mode?: number) => sealer.write(fileMember(name, Buffer.from(content), mode))
  await text(MANIFEST, `${JSON.stringify(about, null, 2)}\n`)
  await text(CONFIG, source.config.text)
  if (source.record !== undefined) await text(RECORD_FILE, `${JSON.stringify(source.record, null, 2)}\n`)
  const { dir } = source.container
  for (const entry of entriesOf(dir).sort()) {
    const path = join(dir, entry)
    const stats = lstatSync(path)
    // What is large is data that somebody put there, and not a part of the configuration.
    if (!isOwnFile(entry) || !stats.isFile() || stats.size > MOST_TEXT_BYTES || entry.length > MOST_NAME) continue
    await text(`${FILES}${entry}`, readFileSync(path), stats.mode & 0o777)
  }
  for (const { name, dir: at } of snapshots) {
    for (const file of [SNAPSHOT, CONFIG]) await text(`${snapshotPath(name)}/${file}`, (await readTextIfPresent(join(at, file))) ?? '')
  }
}

// Of a header of tar, below `files/`.
const MOST_NAME = 90

interface Trees {
  readonly name: string
  readonly parts: readonly Part[]
  readonly trees: readonly Tree[]
}

async function writeTrees({ paths, signal, onStep }: StoreContext, sealer: Sealer, { name, parts, trees }: Trees): Promise<string[]> {
  const notes: string[] = []
  const total = trees.reduce((sum, { usedBytes }) => sum + usedBytes, 0)
  let done = 0
  for (const { top, volume } of parts) {
    await withReadable(paths, volume, async (root) => {
      const options = {
        signal,
        onNote: (text: string) => notes.push(`${top}/${text}`),
        onBytes: (count: number) => {
          done += count
          onStep?.({ text: `exporting '${name}'`, done, total, unit: 'bytes' })
        },
      }
      for await (const part of treeBytes(root, top, options)) await sealer.write(part)
    })
    throwIfAborted(signal)
  }
  return notes
}
