/**
 * Images of the cache inside a store whose volumes share their content: `<lxcpath>/.images/<fingerprint>-<digest>-<driver>[-<pool>]/`.
 * An image is copied there once; a container is a clone of it from then on. volume.json, written last, makes one exist; readers
 * hold a shared lock while they clone.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageRecord } from '../../image/cache.ts'
import { BusyError } from '../../lib/errors.ts'
import { UndoStack } from '../../lib/undo.ts'
import type { LockHandle } from '../../platform/addon.ts'
import { ensureDir, readJson, removeFile, writeJson } from '../../platform/files.ts'
import { acquireLock } from '../../platform/locks.ts'
import type { Paths } from '../../platform/paths.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { Pool, StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { copyVolume } from '../../storage/generic.ts'
import { driverOf, storageDriver } from '../../storage/index.ts'
import { JOURNAL_VERSION, type Journal, writeJournal } from '../journal.ts'
import { CREATING, entriesOf, volumeFile } from '../store.ts'
import { discardDir } from '../trash.ts'
import { listVolumes } from '../volume-records.ts'
import type { Surroundings } from './images.ts'

const RECORD_VERSION = 1
/** Copying a large image to a slow disk. */
const PREPARE_TIMEOUT_MS = 60 * 60 * 1000
const DIGITS = 8

/** volume.json of one. */
interface PoolImageRecord {
  readonly version: typeof RECORD_VERSION
  readonly volume: Volume
  readonly image: { readonly fingerprint: string; readonly digest: string; readonly about: string }
}

export interface PoolImage {
  readonly name: string
  readonly driver: string
  readonly fingerprint: string
  /** Absent: making it did not end. */
  readonly volume?: Volume
}

export interface Store {
  readonly driver: StorageDriver
  readonly pool: Pool
}

type Image = Pick<ImageRecord<Volume>, 'fingerprint' | 'digest' | 'about' | 'volume' | 'sizeBytes'>

const imagesDir = ({ lxcpath }: Paths): string => join(lxcpath, '.images')

/** Copies the image into the store unless it is there, and keeps it from going away while `use` runs. */
export async function withPoolImage<T>(around: Surroundings, store: Store, image: Image, use: (volume: Volume) => Promise<T>): Promise<T> {
  const name = nameOf(store, image)
  const dir = join(imagesDir(around.paths), name)
  await ensureDir(join(imagesDir(around.paths), '.locks'))
  for (;;) {
    const lock = await lockPoolImage(around, name, { about: image.about, shared: true })
    try {
      const record = await readRecord(dir)
      if (record !== undefined) return await use(record.volume)
    } finally {
      lock.release()
    }
    await prepare(around, store, image, name)
  }
}

/** Those of an image, or all. */
export function listPoolImages(paths: Paths, fingerprint?: string): Promise<readonly PoolImage[]> {
  const names = entriesOf(imagesDir(paths)).filter((name) => /^[0-9a-f]{32}-[0-9a-f]{8}-[a-z]+(-[0-9a-f]{8})?$/.test(name))
  return Promise.all(
    names
      .filter((name) => fingerprint === undefined || name.startsWith(`${fingerprint}-`))
      .map(async (name) => {
        const record = await readRecord(join(imagesDir(paths), name)).catch(() => undefined)
        const [found = '', , driver = ''] = name.split('-')
        return { name, driver, fingerprint: found, ...(record === undefined ? {} : { volume: record.volume }) }
      }),
  )
}

export interface PoolImagesRemoved {
  readonly removed: readonly PoolImage[]
  /** Containers that can't do without it. */
  readonly kept: readonly (PoolImage & { readonly neededBy: readonly string[] })[]
}

/** Those of an image that no container needs. @param digest of the image in force, whose own stay */
export async function removePoolImages(around: Surroundings, fingerprint: string, digest?: string): Promise<PoolImagesRemoved> {
  const removed: PoolImage[] = []
  const kept: (PoolImage & { neededBy: readonly string[] })[] = []
  for (const found of await listPoolImages(around.paths, fingerprint)) {
    if (digest !== undefined && found.name.startsWith(`${fingerprint}-${digest.slice(0, DIGITS)}-`)) continue
    const neededBy = await removeOne(around, found)
    if (neededBy.length === 0) removed.push(found)
    else kept.push({ ...found, neededBy })
  }
  return { removed, kept }
}

/** Says who needs it, when somebody does. */
async function removeOne(around: Surroundings, { name, volume }: PoolImage): Promise<readonly string[]> {
  const { paths } = around
  const dir = join(imagesDir(paths), name)
  const lock = await lockPoolImage(around, name, { about: name, shared: false })
  try {
    if (volume !== undefined) {
      const others = await listVolumes(paths)
      const dependents = await driverOf(paths, volume).dependents(
        volume,
        others.map((other) => other.volume),
      )
      if (dependents.length > 0) return others.filter((other) => dependents.includes(other.volume)).map(({ owner }) => owner)
    }
    await sweep(around, dir, volume)
    return []
  } finally {
    lock.release()
  }
}

/** An image of another content is another one: the clones of the old stay what they are. */
function nameOf({ driver, pool }: Store, { fingerprint, digest }: Image): string {
  const { zfsRoot, vg, thinPool, fstype, sizeBytes } = pool
  const where = JSON.stringify({ zfsRoot, vg, thinPool, fstype, sizeBytes })
  const suffix = where === '{}' ? '' : `-${createHash('sha256').update(where).digest('hex').slice(0, DIGITS)}`
  return `${fingerprint}-${digest.slice(0, DIGITS)}-${driver.name}${suffix}`
}

const readRecord = (dir: string): Promise<PoolImageRecord | undefined> => readJson<PoolImageRecord>(volumeFile(dir), RECORD_VERSION)

async function lockPoolImage(
  around: Surroundings,
  name: string,
  { about, shared }: { readonly about: string; readonly shared: boolean },
): Promise<LockHandle> {
  const { paths, command, signal, onStep } = around
  const request = { path: join(imagesDir(paths), '.locks', name), object: `image '${about}' in its store`, command, shared, signal }
  try {
    return await acquireLock(paths, { ...request, timeoutMs: 0 })
  } catch (error) {
    if (!(error instanceof BusyError)) throw error
    onStep({ text: `waiting: ${error.message}` })
    return await acquireLock(paths, { ...request, timeoutMs: PREPARE_TIMEOUT_MS })
  }
}

async function prepare(around: Surroundings, store: Store, image: Image, name: string): Promise<void> {
  const { paths, onStep } = around
  const dir = join(imagesDir(paths), name)
  const lock = await lockPoolImage(around, name, { about: image.about, shared: false })
  try {
    // Somebody else may have made it while we waited.
    if ((await readRecord(dir)) !== undefined) return
    await sweep(around, dir)
    onStep({ text: `preparing the image for ${store.driver.name} (once)` })
    await make(around, store, image, dir)
  } finally {
    lock.release()
  }
  await removePoolImages(around, image.fingerprint, image.digest)
}

async function make(around: Surroundings, store: Store, image: Image, dir: string): Promise<void> {
  const { fingerprint, digest, about } = image
  await ensureDir(dir)
  await using undo = new UndoStack()
  undo.add(`remove '${dir}'`, () => sweep(around, dir))
  const volume = await fill(around, store, image, dir)
  await syncFileSystem(around.paths, dir)
  const record: PoolImageRecord = { version: RECORD_VERSION, volume, image: { fingerprint, digest, about } }
  await writeJson(volumeFile(dir), record)
  undo.commit()
  await removeFile(join(dir, CREATING))
}

async function fill(around: Surroundings, { driver, pool }: Store, image: Image, dir: string): Promise<Volume> {
  const { paths, signal } = around
  const { lvName: _, ...elsewhere } = pool
  const label = `image-${image.fingerprint.slice(0, 12)}-${image.digest.slice(0, DIGITS)}`
  const at: VolumeRef = { dir, name: 'rootfs', label, pool: elsewhere }
  if (driver.planSeal === undefined || driver.seal === undefined) {
    await writeJournal(around, dir, [await driver.locate(at)])
    return await copyVolume(paths, image.volume, { driver, at }, { signal })
  }
  // Where a directory becomes part of the store by a rename, a plain copy is the shortest way.
  const plain = storageDriver(paths, image.volume.driver)
  const located = await plain.locate(at)
  await writeJournal(around, dir, [located])
  const copied = await plain.clone(image.volume, at, { signal })
  const planned = await driver.planSeal(copied, at)
  if (planned === undefined) return copied
  await writeJournal(around, dir, [located, planned])
  await driver.seal(copied, planned)
  return planned
}

/** Removes one, or what a crash left of it; done twice it does nothing. The directory goes last, for it holds the records. */
async function sweep({ paths }: Surroundings, dir: string, volume?: Volume): Promise<void> {
  if (!existsSync(dir)) return
  const journal = await readJson<Journal>(join(dir, CREATING), JOURNAL_VERSION)
  for (const made of [...(journal?.volumes ?? []), ...(volume === undefined ? [] : [volume])].reverse()) {
    await driverOf(paths, made).destroy(made)
  }
  await discardDir(paths, dir, `image-${dir.slice(-DIGITS)}`)
}
