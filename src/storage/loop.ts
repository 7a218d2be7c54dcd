/** A root file system in an image file, which a loop device shows: ext4, xfs or btrfs inside. */
import { lstatSync, statfsSync, statSync } from 'node:fs'
import { chmod, open, rm, statfs } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError, HostError, UsageError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { fileError, isAbsent, removeFile } from '../platform/files.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'
import { copyTree, syncFileSystem } from '../platform/trees.ts'
import { checkFstype, fstypeOf, makeFilesystem, missingTools, renewUuid } from './block-fs.ts'
import { requirePrivateAncestor } from './dir.ts'
import type { Capabilities, CloneOptions, MakeOptions, MountedOptions, StorageDriver, Usage, Volume, VolumeRef } from './driver.ts'
import { resizeImage } from './loop-size.ts'
import { swapPaths } from './swap.ts'

export interface LoopVolume extends Volume {
  readonly driver: 'loop'
  /** `auto`: what its superblock says, for a path that a person wrote. */
  readonly fstype: string
  /** Absent: what the file has. */
  readonly sizeBytes?: number
}

type LoopPaths = Pick<Paths, 'installRoot'>

/** LXC's. */
const DEFAULT_SIZE = 1024 ** 3
const BLOCK = 4096
/** Less than what an image needs at once. */
const LITTLE_ROOM = 16 * 1024 ** 2
/** statfs(2) magic of btrfs and bcachefs: an image is copied by reference, however large. */
const ALWAYS_REFLINK: readonly number[] = [0x9123683e, 0xca451a4e]
const WRITABLE = 0o600
const READ_ONLY = 0o400

export function makeLoopDriver(paths: LoopPaths): StorageDriver<LoopVolume> {
  return {
    name: 'loop',
    independent: true,
    parse,
    probe: async (at) => probe(at),
    locate: async (at) => locate(at),
    create: (at, options) => create(paths, at, options),
    clone: (from, to, options) => clone(paths, from, { to, mode: WRITABLE }, options),
    snapshot: (of, as, options) => clone(paths, of, { to: { ...as, pool: { ...as.pool, fstype: of.fstype } }, mode: READ_ONLY }, options),
    exchange: async (volume, made) => ({ live: { ...made, path: volume.path }, aside: await swapPaths(volume, made) }),
    destroy: ({ path }) => removeFile(path),
    withMounted: (volume, use, options) => withMounted(paths, volume, use, options),
    rootfsPlan: ({ path, fstype }) => ({ kind: 'loop', file: path, type: fstype }),
    dependents: async () => [],
    resize: (volume, sizeBytes) => resizeImage(paths, volume, sizeBytes),
    usage: (volume) => usage(paths, volume),
  }
}

function parse(path: string): LoopVolume {
  if (isAbsolute(path)) return { driver: 'loop', path, fstype: 'auto' }
  throw new UsageError(`cannot use the image '${path}': its path is not absolute`, { hint: 'loop:/PATH/OF/IMAGE' })
}

/** `rootdev` is LXC's name of it. */
function locate({ dir, name, pool }: VolumeRef): LoopVolume {
  const sizeBytes = Math.ceil((pool.sizeBytes ?? DEFAULT_SIZE) / BLOCK) * BLOCK
  return { driver: 'loop', path: join(dir, name.replace(/^rootfs/, 'rootdev')), fstype: checkFstype(pool.fstype ?? 'ext4'), sizeBytes }
}

function probe({ dir, pool }: Pick<VolumeRef, 'dir' | 'pool'>): Capabilities {
  const missing = missingTools(pool.fstype ?? 'ext4')
  if (missing !== undefined) return { usable: false, ...missing }
  if (statSync('/dev/loop-control', { throwIfNoEntry: false }) === undefined) {
    return { usable: false, reason: 'there are no loop devices', hint: 'modprobe loop' }
  }
  return {
    usable: true,
    cow: ALWAYS_REFLINK.includes(statfsSync(dir).type),
    quota: true,
    snapshotsNeedFreeze: true,
    snapshotsNeedFlush: true,
  }
}

async function create(paths: LoopPaths, at: VolumeRef, { signal }: MakeOptions = {}): Promise<LoopVolume> {
  throwIfAborted(signal)
  const volume = locate(at)
  return await orRemoved(volume, { sizeBytes: volume.sizeBytes, mode: WRITABLE }, async () => {
    await tellingOfRoom(volume, () => makeFilesystem(paths, volume.path, volume.fstype, signal))
    throwIfAborted(signal)
    return volume
  })
}

interface Target {
  readonly to: VolumeRef
  readonly mode: number
}

/** By blocks, unless owners or the file system change. */
async function clone(paths: LoopPaths, from: LoopVolume, { to, mode }: Target, options: CloneOptions = {}): Promise<LoopVolume> {
  const { signal, shift = 0 } = options
  throwIfAborted(signal)
  const fstype = from.fstype === 'auto' ? ((await fstypeOf(from.path)) ?? 'auto') : from.fstype
  const sizeBytes = imageSize(from)
  if (shift !== 0 || (to.pool.fstype ?? fstype) !== fstype) return await copyFiles(paths, from, { to, mode }, options)
  const volume: LoopVolume = { ...locate(to), fstype, sizeBytes }
  return await orRemoved(volume, { mode: WRITABLE }, async () => {
    await copyImage(paths, from.path, volume.path, signal)
    // Snapshots too: they are mounted beside what they are of.
    await renewUuid(paths, volume.path, fstype)
    await chmod(volume.path, mode)
    return volume
  })
}

async function copyFiles(paths: LoopPaths, from: LoopVolume, { to, mode }: Target, options: CloneOptions): Promise<LoopVolume> {
  const pool = { ...to.pool, sizeBytes: Math.max(imageSize(from), to.pool.sizeBytes ?? 0) }
  const volume = await create(paths, { ...to, pool }, options)
  try {
    await withMounted(paths, from, (source) => withMounted(paths, volume, (target) => copyTree(paths, source, target, options)), {
      readOnly: true,
    })
    await chmod(volume.path, mode)
    return volume
  } catch (error) {
    await removeFile(volume.path)
    throw error
  }
}

async function copyImage(paths: LoopPaths, from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
  const cancel = new Int32Array(1)
  const stop = () => {
    cancel[0] = 1
  }
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await loadAddon(paths.installRoot).copyFile(from, to, cancel)
    throwIfAborted(signal)
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

/** Makes the file, and removes it when `fill` fails. @throws ExistsError */
async function orRemoved<T>(
  { path }: LoopVolume,
  { sizeBytes = 0, mode }: { readonly sizeBytes?: number | undefined; readonly mode: number },
  fill: () => Promise<T>,
): Promise<T> {
  requirePrivateAncestor(path)
  try {
    const file = await open(path, 'wx', mode)
    await file.truncate(sizeBytes).finally(() => file.close())
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new ExistsError(`cannot create '${path}': it already exists`, { cause: error })
    }
    throw fileError('create', path, error)
  }
  try {
    return await fill()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** A snapshot's file can't be written by its mode, which root is not bound by. */
async function withMounted<T>(
  paths: LoopPaths,
  volume: LoopVolume,
  use: (root: string) => Promise<T>,
  { readOnly = false }: MountedOptions = {},
): Promise<T> {
  const isSnapshot = ((statSync(volume.path, { throwIfNoEntry: false })?.mode ?? WRITABLE) & 0o200) === 0
  const source = { kind: 'loop', file: volume.path, type: volume.fstype } as const
  if (readOnly || isSnapshot) return await withDetachedMount(paths, source, use, { readOnly: true })
  const flushed = async (root: string): Promise<T> => {
    const result = await use(root)
    // The image has holes: that there is no room for what was written shows when it is written out, and nowhere else.
    await syncFileSystem(paths, root)
    return result
  }
  return await tellingOfRoom(volume, () => withDetachedMount(paths, source, flushed))
}

/** A file system in an image knows an input or output error only, where the one beneath has no room. @throws HostError `no-space` */
async function tellingOfRoom<T>({ path }: LoopVolume, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    const dir = dirname(path)
    const { bavail, bsize } = await statfs(dir)
    if (bavail * bsize >= LITTLE_ROOM) throw error
    throw new HostError(`cannot write '${path}': no space left on the file system of '${dir}'`, {
      code: 'no-space',
      hint: `df -h '${dir}'`,
      cause: error,
    })
  }
}

async function usage(paths: LoopPaths, volume: LoopVolume): Promise<Usage> {
  const referencedBytes = await withMounted(
    paths,
    volume,
    async (root) => {
      const { blocks, bfree, bsize } = await statfs(root)
      return (blocks - bfree) * bsize
    },
    { readOnly: true },
  )
  return { usedBytes: lstatSync(volume.path).blocks * 512, referencedBytes, limitBytes: imageSize(volume) }
}

function imageSize({ path }: LoopVolume): number {
  try {
    return statSync(path).size
  } catch (error) {
    if (isAbsent(error)) throw new HostError(`cannot use the image '${path}': it is not there`, { hint: `ls -l '${path}'`, cause: error })
    throw fileError('look at', path, error)
  }
}
