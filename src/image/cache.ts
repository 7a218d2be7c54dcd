/**
 * Images that were fetched once and are copied from then on: `<cacheDir>/images/<fingerprint>/` holds the volume, its manifest and
 * image.json, which is written last. An entry without image.json is a remainder of a fetch that did not end.
 * Readers hold a shared lock while they copy, so that neither a refresh nor a removal pulls the content away.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BusyError, NotFoundError } from '../lib/errors.ts'
import type { OnStep } from '../lib/progress.ts'
import { UndoStack } from '../lib/undo.ts'
import { type LockHandle, loadAddon } from '../platform/addon.ts'
import { ensureDir, readJson, readTextIfPresent, writeJson } from '../platform/files.ts'
import { acquireLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import { makeManifest, pathOf, sha256, stampDigest, watchedPaths } from './manifest.ts'
import type { FetchWork, ImageVolumes } from './source.ts'

const RECORD_VERSION = 1
/** A fetch over a slow line takes its time; whoever wants the same image waits for it. */
const FETCH_TIMEOUT_MS = 60 * 60 * 1000

/** image.json */
export interface ImageRecord<V = unknown> {
  readonly version: typeof RECORD_VERSION
  readonly fingerprint: string
  /** For people: `debian bookworm amd64`. */
  readonly about: string
  readonly template: string
  /** All that the fingerprint was made of. */
  readonly identity: unknown
  readonly volume: V
  /** SHA-256 of the file `manifest`. */
  readonly digest: string
  /** See `stampDigest`. */
  readonly stamps: string
  readonly entries: number
  readonly sizeBytes: number
  readonly createdAt: string
}

export interface ImageCache<V> {
  readonly paths: Pick<Paths, 'cacheDir' | 'installRoot'>
  readonly volumes: ImageVolumes<V>
  /** Names us to those who wait, e.g. `tslxc create`. */
  readonly command: string
  readonly signal?: AbortSignal | undefined
  readonly onStep: OnStep
}

export interface ImageWanted {
  readonly about: string
  readonly template: string
  readonly identity: unknown
  /** Make it anew even when it is there. */
  readonly refresh?: boolean
  /** How long a fetch takes, for people: `about a minute`. */
  readonly duration?: string | undefined
  readonly fill: (work: Omit<FetchWork, 'templateDir' | 'setupScript'>) => Promise<void>
}

export const imagesDir = (paths: Pick<Paths, 'cacheDir'>): string => join(paths.cacheDir, 'images')
export const fingerprintOf = (identity: unknown): string => sha256(JSON.stringify(identity)).slice(0, 32)

/** Fetches the image unless it is there and whole, and keeps it from going away while `use` runs. */
export async function withImage<V, T>(cache: ImageCache<V>, wanted: ImageWanted, use: (image: ImageRecord<V>) => Promise<T>): Promise<T> {
  const fingerprint = fingerprintOf(wanted.identity)
  await ensureDir(join(imagesDir(cache.paths), '.locks'))
  let refresh = wanted.refresh ?? false
  for (;;) {
    const lock = await lockImage(cache, wanted.about, fingerprint, !refresh)
    try {
      const image = refresh ? undefined : await readWhole(cache, fingerprint)
      if (image !== undefined) return await use(image)
    } finally {
      lock.release()
    }
    await fetchImage(cache, wanted, fingerprint, refresh)
    refresh = false
  }
}

/** Records of all images, by template and description. */
export async function listImages(paths: Pick<Paths, 'cacheDir'>): Promise<ImageRecord[]> {
  const names = await readdir(imagesDir(paths)).catch(() => [])
  const records = await Promise.all(
    names
      .filter((name) => /^[0-9a-f]{32}$/.test(name))
      .map((name) => readJson<ImageRecord>(join(imagesDir(paths), name, 'image.json')).catch(() => undefined)),
  )
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => a.about.localeCompare(b.about) || a.createdAt.localeCompare(b.createdAt))
}

/**
 * Removes one image, waiting for those who copy it.
 * @param wanted a fingerprint, or its first characters
 * @throws NotFoundError
 */
export async function removeImage<V>(cache: ImageCache<V>, wanted: string): Promise<ImageRecord> {
  const matches = (await listImages(cache.paths)).filter(({ fingerprint }) => fingerprint.startsWith(wanted))
  const [image] = matches
  if (image === undefined || matches.length > 1) {
    const reason = image === undefined ? 'there is no such image' : `it stands for ${matches.length} images`
    throw new NotFoundError(`cannot remove image '${wanted}': ${reason}`, { hint: 'tslxc image ls' })
  }
  const lock = await lockImage(cache, image.about, image.fingerprint, false)
  try {
    await removeEntry(cache, image.fingerprint)
  } finally {
    lock.release()
  }
  return image
}

async function lockImage<V>(cache: ImageCache<V>, about: string, fingerprint: string, shared: boolean): Promise<LockHandle> {
  const request = {
    path: join(imagesDir(cache.paths), '.locks', fingerprint),
    object: `image '${about}'`,
    command: cache.command,
    shared,
    signal: cache.signal,
  }
  try {
    return await acquireLock(cache.paths, { ...request, timeoutMs: 0 })
  } catch (error) {
    if (!(error instanceof BusyError)) throw error
    cache.onStep({ text: `waiting: ${error.message}` })
    return await acquireLock(cache.paths, { ...request, timeoutMs: FETCH_TIMEOUT_MS })
  }
}

/** The image when it is complete and unchanged. A broken one is named and not used. */
async function readWhole<V>(cache: ImageCache<V>, fingerprint: string): Promise<ImageRecord<V> | undefined> {
  const dir = join(imagesDir(cache.paths), fingerprint)
  const record = await readJson<ImageRecord<V>>(join(dir, 'image.json'), RECORD_VERSION).catch(() => undefined)
  if (record === undefined) return undefined
  const problem = await cache.volumes
    .withMounted(record.volume, (root) => findDamage(cache, record, root))
    .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
  if (problem === undefined) return record
  cache.onStep({ text: `the cached image '${record.about}' is damaged (${problem}): fetching it again` })
  return undefined
}

async function findDamage<V>(cache: ImageCache<V>, record: ImageRecord<V>, root: string): Promise<string | undefined> {
  const dir = join(imagesDir(cache.paths), record.fingerprint)
  const manifest = await readTextIfPresent(join(dir, 'manifest'))
  if (manifest === undefined || sha256(manifest) !== record.digest) return 'its manifest was changed'
  const addon = loadAddon(cache.paths.installRoot)
  const stamps = stampDigest(addon, root, watchedPaths(manifest))
  if (stamps === record.stamps) return undefined
  // Touched, perhaps only moved to another disk: the content decides.
  const found = await makeManifest(root)
  if (found.digest !== record.digest) return firstDifference(manifest, found.text)
  await writeJson(join(dir, 'image.json'), { ...record, stamps })
  return undefined
}

function firstDifference(before: string, after: string): string {
  const [then, now] = [before.split('\n'), after.split('\n')]
  const [known, found] = [new Set(then), new Set(now)]
  const lost = then.find((line) => !found.has(line))
  if (lost !== undefined) return `'${pathOf(lost)}' is not what was fetched`
  const added = now.find((line) => !known.has(line))
  return `'${added === undefined ? '' : pathOf(added)}' was added`
}

async function fetchImage<V>(cache: ImageCache<V>, wanted: ImageWanted, fingerprint: string, refresh: boolean): Promise<void> {
  const lock = await lockImage(cache, wanted.about, fingerprint, false)
  try {
    // Somebody else may have fetched it while we waited.
    if (!refresh && (await readWhole(cache, fingerprint)) !== undefined) return
    const duration = wanted.duration === undefined ? '' : ` (once; takes ${wanted.duration})`
    cache.onStep({ text: `fetching image '${wanted.about}'${duration}` })
    await makeEntry(cache, wanted, fingerprint)
  } finally {
    lock.release()
  }
}

/** A refreshed image stands beside the old one until image.json points to it. */
async function makeEntry<V>(cache: ImageCache<V>, wanted: ImageWanted, fingerprint: string): Promise<void> {
  const dir = join(imagesDir(cache.paths), fingerprint)
  const old = await readJson<ImageRecord<V>>(join(dir, 'image.json'), RECORD_VERSION).catch(() => undefined)
  await removeRemainders(cache, dir, old)
  await ensureDir(dir)
  await using undo = new UndoStack()
  undo.add('remove the unfinished image', () => (old === undefined ? removeTree(cache, dir) : removeRemainders(cache, dir, old)))
  const name = `rootfs-${Date.now().toString(36)}`
  const volume = await cache.volumes.create({ dir, name, label: `image-${fingerprint.slice(0, 12)}`, pool: {} })
  undo.add('remove the unfinished root file system', () => cache.volumes.destroy(volume))
  const workDir = join(dir, 'work')
  await mkdir(workDir, { recursive: true, mode: 0o700 })
  const logFile = join(imagesDir(cache.paths), `${fingerprint}.log`)
  const { installRoot } = cache.paths
  const { manifest, stamps } = await cache.volumes.withMounted(volume, async (rootfs) => {
    await wanted.fill({ rootfs, workDir, logFile, installRoot, signal: cache.signal, onStep: cache.onStep })
    const made = await makeManifest(rootfs)
    return { manifest: made, stamps: stampDigest(loadAddon(installRoot), rootfs, watchedPaths(made.text)) }
  })
  await removeTree(cache, workDir)
  await writeFile(join(dir, 'manifest'), manifest.text, { mode: 0o600 })
  await writeJson(join(dir, 'image.json'), makeRecord(wanted, { fingerprint, volume, manifest, stamps }))
  undo.commit()
  await rm(logFile, { force: true })
  if (old !== undefined) await cache.volumes.destroy(old.volume)
}

function makeRecord<V>(
  { about, template, identity }: ImageWanted,
  made: { fingerprint: string; volume: V; manifest: { digest: string; entries: number; sizeBytes: number }; stamps: string },
): ImageRecord<V> {
  const { fingerprint, volume, stamps } = made
  const { digest, entries, sizeBytes } = made.manifest
  const createdAt = new Date().toISOString()
  return { version: RECORD_VERSION, fingerprint, about, template, identity, volume, digest, stamps, entries, sizeBytes, createdAt }
}

/** Everything but the image that is in force. */
async function removeRemainders<V>(cache: ImageCache<V>, dir: string, current: ImageRecord<V> | undefined): Promise<void> {
  const keep = new Set(['image.json', 'manifest'])
  const text = current === undefined ? '' : JSON.stringify(current.volume)
  for (const name of await readdir(dir).catch(() => [])) {
    if (current !== undefined && (keep.has(name) || text.includes(`/${name}"`))) continue
    await removeTree(cache, join(dir, name))
  }
}

async function removeEntry<V>(cache: ImageCache<V>, fingerprint: string): Promise<void> {
  const dir = join(imagesDir(cache.paths), fingerprint)
  const record = await readJson<ImageRecord<V>>(join(dir, 'image.json'), RECORD_VERSION).catch(() => undefined)
  // Without image.json nobody takes it for an image, whatever happens next.
  await rm(join(dir, 'image.json'), { force: true })
  if (record !== undefined) await cache.volumes.destroy(record.volume)
  await removeTree(cache, dir)
}

async function removeTree<V>(cache: ImageCache<V>, path: string): Promise<void> {
  await loadAddon(cache.paths.installRoot).removeTree(path)
}

/** The last lines of a log, for a message. */
export async function lastLines(file: string, count: number): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-count)
}
