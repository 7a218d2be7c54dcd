/**
 * Replacing a container's root file system in place, so that the old content or the new is there whole at any moment.
 *
 * pending.json stands from before the new volume is made until it is in the place of the old one. Its phase says which way
 * a crash is made up for: `preparing` is undone, `committed` goes on to the end. Both ways can be gone again and again.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { assertNever } from '../lib/assert-never.ts'
import { HostError, StateError, TslxcError, UsageError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { jsonText, readJson, readTextIfPresent, removeFile, writeJson, writeOrdered } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import { syncFileSystem } from '../platform/trees.ts'
import type { Pool, StorageDriver, Volume, VolumeRef } from '../storage/driver.ts'
import { driverOf, volumeText } from '../storage/index.ts'
import { requireNotMounted } from './disk/mounted.ts'
import { type Container, readVolume, type StoreContext, volumeFile, volumeRecord } from './store.ts'
import { discardDir } from './trash.ts'
import { requireVolume } from './volume-records.ts'

export const PENDING = 'pending.json'
const STAGED_CONFIG = 'config.yaml.new'
const PENDING_VERSION = 1

interface Pending {
  readonly version: typeof PENDING_VERSION
  readonly pid: number
  readonly command: string
  readonly startedAt: string
  readonly phase: 'preparing' | 'committed'
  /** By `driver.exchange` when both are of one driver, by letting go of the old one; `driver.seal`, `driver.resize` make no other. */
  readonly how: 'exchange' | 'switch' | 'seal' | 'resize'
  readonly old: Volume
  readonly made: Volume
}

export interface Replacement {
  /** What the container runs from now. */
  readonly old: Volume
  /** Of the new one. */
  readonly driver: StorageDriver
  readonly pool?: Pool
  /** It shares its blocks with what is on the disk already: there is nothing to flush. */
  readonly sharing?: boolean
  /** Makes it; after a failure nothing of it is left. */
  readonly make: (at: VolumeRef) => Promise<Volume>
  /** Text of config.yaml to come with it; its rootfs.path is set. Absent: the present one. */
  readonly config?: string
}

/**
 * Makes a new root file system beside that of a stopped container and puts it into its place. The caller holds the
 * container's lock and has settled it. Returns what the container runs from then on.
 */
export async function replaceVolume(context: StoreContext, container: Container, replacement: Replacement): Promise<Volume> {
  const { old, driver, config } = replacement
  await requireNotMounted(container, 'change', 'live')
  const at = await placeFor(container, replacement)
  const preparing = pendingOf(context, {
    phase: 'preparing',
    how: old.driver === driver.name ? 'exchange' : 'switch',
    old,
    made: await driver.locate(at),
  })
  await writeOrdered(join(container.dir, PENDING), jsonText(preparing))
  // A journal that nobody has to see after a power cut is none: what is made may lie in another store.
  loadAddon(context.paths.installRoot).syncPath(join(container.dir, PENDING))
  try {
    const staged = join(container.dir, STAGED_CONFIG)
    if (config !== undefined) await writeOrdered(staged, config)
    const made = await replacement.make(at)
    throwIfAborted(context.signal)
    // What was copied must be on the disk before the old content goes.
    if (replacement.sharing !== true) await syncFileSystem(context.paths, at.dir)
    await write(container, { ...preparing, phase: 'committed', made })
  } catch (error) {
    // The failure may have come behind the commit.
    const pending = await read(container)
    if (pending?.phase !== 'committed') {
      if (pending !== undefined) await undo(context, container, pending)
      throw error
    }
  }
  return await finish(context, container)
}

/**
 * Makes a stopped container's root file system one over a layer that others can share, as `driver.planSeal` has planned
 * it. The caller holds the container's lock and has settled it. Returns what the container runs from then on.
 */
export async function sealVolume(context: StoreContext, container: Container, driver: StorageDriver, planned: Volume): Promise<Volume> {
  if (driver.seal === undefined) throw new TslxcError('internal', `cannot seal '${container.name}': ${driver.name} needs no sealing`)
  const old = await requireVolume(context.paths, container, 'seal')
  // What is written through a mount would change what others share.
  await requireNotMounted(container, 'seal', 'writable')
  throwIfAborted(context.signal)
  // Nothing has to be made first: it begins with the commit.
  await write(container, pendingOf(context, { phase: 'committed', how: 'seal', old, made: planned }))
  return await finish(context, container)
}

/**
 * Gives a container's root file system, running or not, the limit `limitBytes`, and its record and configuration with it.
 * The caller holds the container's lock and has settled it. Where the store refuses, nothing is changed.
 * @param change `config`: text of config.yaml to come with it; absent: the present one
 */
export async function resizeInPlace(
  context: StoreContext,
  container: Container,
  old: Volume,
  change: { readonly limitBytes: number | undefined; readonly config?: string },
): Promise<Volume> {
  const { limitBytes: _, ...unlimited } = old
  const made = { ...unlimited, ...(change.limitBytes === undefined ? {} : { limitBytes: change.limitBytes }) }
  throwIfAborted(context.signal)
  const pending = pendingOf(context, { phase: 'committed', how: 'resize', old, made })
  if (change.config !== undefined) await write(container, { ...pending, phase: 'preparing' })
  try {
    if (change.config !== undefined) await writeOrdered(join(container.dir, STAGED_CONFIG), change.config)
    await write(container, pending)
    return await finish(context, container)
  } catch (error) {
    // The store may have done it already.
    await driverOf(context.paths, old)
      .resize(old, old.limitBytes)
      .catch(() => undefined)
    await undo(context, container, pending)
    throw error
  }
}

/** Under the container's lock: makes up for a crash in the middle of a replacement. Whether there was one. */
export async function settlePending(context: StoreContext, container: Container): Promise<boolean> {
  const pending = await read(container)
  if (pending === undefined) return false
  if (pending.phase === 'preparing') await undo(context, container, pending)
  else if (pending.how === 'resize') await resizeAgain(context, container, pending)
  else await finish(context, container)
  return true
}

/** Volumes of a replacement under way, which the container's own record may not name. */
export async function pendingVolumes(container: Container): Promise<readonly Volume[]> {
  const pending = await read(container)
  return pending === undefined ? [] : [pending.old, pending.made]
}

/** Beside the old one where that is a file or directory, so that a rename is enough. */
async function placeFor(container: Container, { old, driver, pool = {} }: Replacement): Promise<VolumeRef> {
  // Names in a store are everybody's: one that nobody else has, so that undoing after a crash takes nothing of theirs.
  const label = `${container.name}.${randomBytes(3).toString('hex')}`
  const isElsewhere = old.driver === driver.name && isOnFiles(old.path) && !old.path.startsWith(`${container.dir}/`)
  const dir = isElsewhere ? dirname(old.path) : container.dir
  const name = isElsewhere ? basename(old.path) : 'rootfs'
  for (let number = 1; ; number++) {
    const at = { dir, name: `${name}.new${number === 1 ? '' : number}`, label, pool }
    if (!existsSync(join(dir, at.name)) && volumeText(await driver.locate(at)) !== volumeText(old)) return at
  }
}

function isOnFiles(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false })
  return status !== undefined && (status.isDirectory() || status.isFile())
}

const pendingOf = ({ command }: StoreContext, what: Pick<Pending, 'phase' | 'how' | 'old' | 'made'>): Pending => ({
  version: PENDING_VERSION,
  pid: process.pid,
  command,
  startedAt: new Date().toISOString(),
  ...what,
})

const write = (container: Container, pending: Pending): Promise<void> => writeJson(join(container.dir, PENDING), pending)
const read = (container: Container): Promise<Pending | undefined> => readJson<Pending>(join(container.dir, PENDING), PENDING_VERSION)

/** What the store refuses now it refused before: then all is as it was. */
async function resizeAgain(context: StoreContext, container: Container, pending: Pending): Promise<void> {
  try {
    await finish(context, container)
  } catch (error) {
    if (!(error instanceof HostError) && !(error instanceof StateError) && !(error instanceof UsageError)) throw error
    await undo(context, container, pending)
  }
}

async function undo({ paths }: StoreContext, container: Container, { how, made }: Pending): Promise<void> {
  if (how === 'exchange' || how === 'switch') await driverOf(paths, made).destroy(made)
  await removeFile(join(container.dir, STAGED_CONFIG))
  await removeFile(join(container.dir, PENDING))
}

/** From the commit to the end; each step may have been done already. The journal outlives all of them, so none is flushed by itself. */
async function finish({ paths }: StoreContext, container: Container): Promise<Volume> {
  const pending = await read(container)
  if (pending === undefined) throw new TslxcError('internal', `cannot go on with '${container.name}': its ${PENDING} is gone`)
  const { live, aside } = await putIntoPlace(paths, pending)
  const recorded = await readVolume(container)
  if (JSON.stringify(recorded) !== JSON.stringify(live)) await writeOrdered(volumeFile(container.dir), jsonText(volumeRecord(live)))
  await giveConfig(container, pending, live)
  if (aside !== undefined && volumeText(aside) !== volumeText(live)) await discard(paths, container, aside)
  // Coming back after a power cut, it would do what is done.
  await rm(join(container.dir, PENDING), { force: true })
  return live
}

/** A tree in the container's directory is deleted behind. */
async function discard(paths: Paths, { dir, name }: Container, aside: Volume): Promise<void> {
  const driver = driverOf(paths, aside)
  if (driver.letGo === undefined || !aside.path.startsWith(`${dir}/`)) return await driver.destroy(aside)
  await discardDir(paths, await driver.letGo(aside), name)
}

async function putIntoPlace(
  paths: Paths,
  { how, old, made }: Pending,
): Promise<{ readonly live: Volume; readonly aside?: Volume | undefined }> {
  const driver = driverOf(paths, made)
  switch (how) {
    case 'exchange':
      return await driver.exchange(old, made)
    case 'seal':
      await driver.seal?.(old, made)
      return { live: made }
    case 'resize':
      return { live: await driver.resize(old, made.limitBytes) }
    case 'switch':
      return { live: made, aside: old }
    default:
      return assertNever(how)
  }
}

/** The staged text, or the present one, with the path of the root file system as it is now. */
async function giveConfig({ dir, configFile }: Container, { old }: Pending, live: Volume): Promise<void> {
  // Of a data volume nothing but volume.json says where it is.
  if (basename(configFile) !== 'config.yaml') return
  const staged = join(dir, STAGED_CONFIG)
  const stagedText = await readTextIfPresent(staged)
  const text = stagedText ?? (await readFile(configFile, 'utf8'))
  // Seldom needed: locking a container alone does not load it.
  const { withRootfsPath } = await import('./rootfs-path.ts')
  const after = withRootfsPath(configFile, text, { old, live })
  if (stagedText !== undefined || after !== text) await writeOrdered(configFile, after)
  if (stagedText !== undefined) await rm(staged, { force: true })
}
