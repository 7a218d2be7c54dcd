/**
 * Directories laid over each other: immutable, shared lower ones (layers.ts) and, above them, one of the volume's own. A clone
 * stands on the lower ones of its source and copies what lies above; when that was sealed into a layer, nothing is copied.
 * Mounted without metacopy and index, an upper directory is right wherever the same lower ones lie below it in the same order.
 * https://docs.kernel.org/filesystems/overlayfs.html
 */
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { mkdir, rename, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError, HostError, UsageError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { fileError, renameDurable } from '../platform/files.ts'
import type { MountSource } from '../platform/mount-source.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import { overlayProblem } from '../platform/overlay-support.ts'
import type { Paths } from '../platform/paths.ts'
import { copyTree, removeTree } from '../platform/trees.ts'
import { requirePrivateAncestor } from './dir.ts'
import { limitTree, projectQuota, releaseProject } from './dir-quota.ts'
import type { CloneOptions, MakeOptions, StorageDriver, Usage, Volume, VolumeRef } from './driver.ts'
import { emptyLayer, emptyLayerOf, holdLayers, holdsLayers, lxcpathOfLayer, makeLayerDir, newLayerPath, releaseLayers } from './layers.ts'

export interface OverlayVolume extends Volume {
  readonly driver: 'overlay'
  /** The topmost first. */
  readonly lowers: readonly string[]
  /** Absent, with `work`: nothing can be written. */
  readonly upper?: string
  readonly work?: string
  /** Holds upper, work and layers.json. */
  readonly dir: string
  /** The quota project that `dir` is charged to, once it had a limit. */
  readonly projectId?: number
}

type OverlayPaths = Pick<Paths, 'installRoot' | 'lxcpath' | 'allocDir'>

/** More of them make each lookup slower; mount(2) takes 500. fs/overlayfs/super.c */
const MAX_LAYERS = 32
const OWNER_ONLY_DIR = 0o700

/** `LOWER[:LOWER…]:UPPER`, as LXC writes it; nothing behind the last colon: read-only. */
const textOf = (lowers: readonly string[], upper: string | undefined): string => [...lowers, upper ?? ''].join(':')

/** LXC's names of directories. */
const dirOf = ({ dir, name }: VolumeRef): string =>
  join(dir, name.startsWith('rootfs') ? name.replace('rootfs', 'overlay') : `${name}.overlay`)

function volumeOver(lowers: readonly string[], dir: string, writable: boolean): OverlayVolume {
  const upper = writable ? join(dir, 'delta') : undefined
  return {
    driver: 'overlay',
    path: textOf(lowers, upper),
    lowers,
    ...(upper === undefined ? {} : { upper, work: join(dir, 'work') }),
    dir,
  }
}

const movedTo = (volume: OverlayVolume, dir: string): OverlayVolume => ({
  ...volume,
  ...volumeOver(volume.lowers, dir, volume.upper !== undefined),
})

export function makeOverlayDriver(paths: OverlayPaths): StorageDriver<OverlayVolume> {
  return {
    name: 'overlay',
    independent: true,
    parse,
    async probe({ dir }) {
      const problem = overlayProblem(dir)
      if (problem !== undefined) return { usable: false, ...problem }
      return { usable: true, cow: true, quota: projectQuota(paths, dir), snapshotsNeedFreeze: true }
    },
    locate: async (at) => volumeOver([emptyLayerOf(paths.lxcpath)], dirOf(at), true),
    create: (at, options) => create(paths, at, options),
    clone: (from, to, options) => clone(paths, from, to, options),
    snapshot: (of, as, options) => snapshot(paths, of, as, options),
    planSeal: async (volume, at) => planSeal(paths, volume, at),
    seal: (volume, planned) => seal(paths, volume, planned),
    exchange,
    destroy: (volume) => destroy(paths, volume),
    withMounted: (volume, use, options) => withDetachedMount(paths, sourceOf(volume), use, options),
    rootfsPlan: sourceOf,
    dependents: async () => [],
    resize: (volume, sizeBytes) => resize(paths, volume, sizeBytes),
    usage: (volume) => usage(paths, volume),
  }
}

function sourceOf({ lowers, upper, work }: OverlayVolume): MountSource {
  if (upper !== undefined && work !== undefined) return { kind: 'overlay', lowers, upper, work }
  // Without an upper one the kernel wants two. fs/overlayfs/params.c
  const [only = ''] = lowers
  const lxcpath = lowers.length === 1 ? lxcpathOfLayer(only) : undefined
  return { kind: 'overlay', lowers: lxcpath === undefined ? lowers : [...lowers, emptyLayerOf(lxcpath)] }
}

/** The work directory stands beside the upper one, where LXC has it. */
function parse(path: string): OverlayVolume {
  const lowers = path.split(':')
  const upper = lowers.pop() ?? ''
  if (lowers.length === 0 || [...lowers, upper].some((part) => part !== '' && !part.startsWith('/')) || lowers.includes('')) {
    throw new UsageError(`cannot use the overlay '${path}': it is not LOWER[:LOWER…]:UPPER of absolute paths`)
  }
  const dir = dirname(upper === '' ? (lowers[0] ?? '') : upper)
  return { driver: 'overlay', path, lowers, ...(upper === '' ? {} : { upper, work: join(dir, 'olwork') }), dir }
}

async function create(paths: OverlayPaths, at: VolumeRef, { signal }: MakeOptions = {}): Promise<OverlayVolume> {
  const volume = volumeOver([await emptyLayer(paths)], dirOf(at), true)
  return await making(paths, volume, { signal, fill: () => makeUpper(paths, volume) })
}

async function clone(paths: OverlayPaths, from: OverlayVolume, to: VolumeRef, options: CloneOptions = {}): Promise<OverlayVolume> {
  const { shift = 0, signal } = options
  // Another store counts for itself; owners in a layer are as they are.
  if (shift !== 0 || from.lowers.some((layer) => ![undefined, paths.lxcpath].includes(lxcpathOfLayer(layer)))) {
    return await cloneFully(paths, from, to, options)
  }
  const volume = volumeOver(from.lowers, dirOf(to), true)
  const fill = async () => {
    if (isEmpty(from.upper)) return await makeUpper(paths, volume, from.upper ?? from.lowers[0])
    await makeWork(volume)
    await copyTree(paths, upperOf(from), upperOf(volume), { signal })
  }
  return await making(paths, volume, { signal, fill })
}

async function cloneFully(paths: OverlayPaths, from: OverlayVolume, to: VolumeRef, options: CloneOptions): Promise<OverlayVolume> {
  const volume = volumeOver([await emptyLayer(paths)], dirOf(to), true)
  const fill = async () => {
    await makeWork(volume)
    await withDetachedMount(paths, sourceOf(from), (root) => copyTree(paths, root, upperOf(volume), options), { readOnly: true })
  }
  return await making(paths, volume, { signal: options.signal, fill })
}

async function snapshot(paths: OverlayPaths, of: OverlayVolume, as: VolumeRef, { signal }: MakeOptions = {}): Promise<OverlayVolume> {
  await emptyLayer(paths)
  const { upper, lowers } = of
  if (isEmpty(upper)) return await making(paths, volumeOver(lowers, dirOf(as), false), { signal, fill: async () => undefined })
  const layer = newLayerPath(paths)
  const fill = async () => {
    await makeLayerDir(layer)
    await copyTree(paths, upperOf(of), layer, { signal })
  }
  return await making(paths, volumeOver([layer, ...lowers], dirOf(as), false), { signal, planned: layer, fill })
}

interface Making {
  readonly signal?: AbortSignal | undefined
  /** A layer of the volume that `fill` makes. */
  readonly planned?: string
  readonly fill: () => Promise<unknown>
}

/** Holds the layers first; after a failure nothing is left. */
async function making(paths: OverlayPaths, volume: OverlayVolume, { signal, planned, fill }: Making): Promise<OverlayVolume> {
  throwIfAborted(signal)
  requirePrivateAncestor(volume.dir)
  if (paths.lxcpath.includes(':')) throw new HostError(`cannot keep an overlay below '${paths.lxcpath}': its name has a colon`)
  await mkdir(volume.dir, { mode: OWNER_ONLY_DIR }).catch((error: unknown) => {
    if (!existsSync(volume.dir)) throw fileError('create', volume.dir, error)
    throw new ExistsError(`cannot create '${volume.dir}': it already exists`, { cause: error })
  })
  try {
    await holdLayers(paths, volume.dir, volume.lowers, planned)
    await fill()
    return volume
  } catch (error) {
    await releaseLayers(paths, volume.dir)
    await removeTree(paths, volume.dir)
    throw error
  }
}

/** An empty upper directory; owner, mode and attributes of the root are those of `like`. */
async function makeUpper(paths: OverlayPaths, volume: OverlayVolume, like?: string): Promise<void> {
  await makeWork(volume)
  const source = like ?? volume.lowers[0]
  if (source === undefined) return
  const upper = upperOf(volume)
  // By a rename: one that is there is whole.
  await removeTree(paths, `${upper}.new`)
  await copyTree(paths, source, `${upper}.new`, { topOnly: true })
  await rename(`${upper}.new`, upper)
}

async function makeWork({ work }: OverlayVolume): Promise<void> {
  if (work !== undefined) await mkdir(work, { recursive: true, mode: OWNER_ONLY_DIR })
}

/** What of a volume becomes its topmost layer. */
const contentOf = (volume: Volume): string | undefined => ('upper' in volume ? (volume as OverlayVolume).upper : volume.path)

/** @throws HostError when the directory can't become a layer by a rename */
async function planSeal(paths: OverlayPaths, volume: Volume, at: VolumeRef): Promise<OverlayVolume | undefined> {
  const isOverlay = volume.driver === 'overlay'
  if (!isOverlay && volume.driver !== 'dir')
    throw new HostError(`cannot share '${volume.path}': ${volume.driver} volumes are no directories`)
  const lowers = isOverlay ? (volume as OverlayVolume).lowers : []
  const dir = isOverlay && holdsLayers((volume as OverlayVolume).dir) ? (volume as OverlayVolume).dir : dirOf(at)
  const content = contentOf(volume)
  if (content === undefined || (isOverlay && isEmpty(content)) || lowers.length >= MAX_LAYERS) return undefined
  if (lstatSync(content).dev !== lstatSync(paths.lxcpath).dev) {
    throw new HostError(`cannot share '${content}': it is on another file system than '${paths.lxcpath}'`)
  }
  const { limitBytes, projectId } = volume as OverlayVolume
  return {
    ...volumeOver([newLayerPath(paths), ...lowers], dir, true),
    // The layer stays charged to the project: the limit is on all that was written, before and after.
    ...(projectId === undefined ? {} : { projectId }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  }
}

/** In an order in which each step shows whether it was done. */
async function seal(paths: OverlayPaths, volume: Volume, planned: OverlayVolume): Promise<void> {
  const content = contentOf(volume)
  const [layer] = planned.lowers
  if (content === undefined || layer === undefined) return
  await holdLayers(paths, planned.dir, planned.lowers, layer)
  await makeLayerDir(layer)
  if (!existsSync(layer)) await renameDurable(content, layer)
  if (planned.upper !== undefined && !existsSync(planned.upper)) await makeUpper(paths, planned, layer)
  if (planned.projectId !== undefined) await loadAddon(paths.installRoot).setProject(planned.dir, planned.projectId)
}

/** By two renames of the directories that hold all of a volume; each shows whether it was done. */
async function exchange(volume: OverlayVolume, made: OverlayVolume): Promise<{ live: OverlayVolume; aside: OverlayVolume | undefined }> {
  if (existsSync(volume.dir) && !holdsLayers(volume.dir)) {
    throw new HostError(`cannot replace the overlay '${volume.path}': a person wrote it`, { hint: 'tslxc copy NAME NEWNAME' })
  }
  const aside = `${volume.dir}.old`
  if (existsSync(made.dir)) {
    if (existsSync(volume.dir) && !existsSync(aside)) await renameDurable(volume.dir, aside)
    await rename(made.dir, volume.dir)
  }
  const live = movedTo(made, volume.dir)
  return { live, aside: existsSync(aside) ? movedTo(volume, aside) : undefined }
}

/** Of one that a person wrote only what is above goes, as with LXC: the directory that holds it is not ours. */
async function destroy(paths: OverlayPaths, volume: OverlayVolume): Promise<void> {
  const { dir, upper, work, lowers } = volume
  releaseProject(loadAddon(paths.installRoot), projectTree(volume))
  const isOurs = holdsLayers(dir)
  await releaseLayers(paths, dir, lowers)
  for (const path of isOurs ? [dir] : [upper, work]) if (path !== undefined) await removeTree(paths, path)
  await rmdir(dir).catch(() => undefined)
}

async function usage(paths: OverlayPaths, { upper, lowers, limitBytes }: OverlayVolume): Promise<Usage> {
  const addon = loadAddon(paths.installRoot)
  const measured = await Promise.all([...(upper === undefined ? [] : [upper]), ...lowers].map((dir) => addon.treeUsage(dir)))
  const sizes = measured.map(({ usedBytes }) => usedBytes)
  return {
    usedBytes: upper === undefined ? 0 : (sizes[0] ?? 0),
    referencedBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  }
}

/** Upper and work directory are of one project: between two of them nothing can be renamed. */
const projectTree = ({ dir, projectId }: OverlayVolume) => ({ path: dir, ...(projectId === undefined ? {} : { projectId }) })

/** Of what was changed: what the shared layers hold is nobody's. */
async function resize(paths: OverlayPaths, volume: OverlayVolume, sizeBytes: number | undefined): Promise<OverlayVolume> {
  const { limitBytes: _, ...unlimited } = volume
  const projectId = await limitTree(paths, projectTree(volume), sizeBytes)
  return {
    ...unlimited,
    ...(projectId === undefined ? {} : { projectId }),
    ...(sizeBytes === undefined ? {} : { limitBytes: sizeBytes }),
  }
}

function upperOf({ upper, path }: OverlayVolume): string {
  if (upper === undefined) throw new HostError(`cannot write to the overlay '${path}': it has no upper directory`)
  return upper
}

const isEmpty = (dir: string | undefined): boolean => dir === undefined || readdirSync(dir).length === 0
