/** A root file system as a subvolume of a btrfs. Subvolumes that guests made inside belong to it, however deep. */
import { existsSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { HostError, UsageError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import { type BtrfsInspection, loadAddon, type NativeAddon } from '../platform/addon.ts'
import type { Paths } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import { btrfsStream } from './btrfs-stream.ts'
import { requirePrivateAncestor } from './dir.ts'
import type { Capabilities, MakeOptions, StorageDriver, Usage, Volume, VolumeRef } from './driver.ts'
import { swapPaths } from './swap.ts'

export interface BtrfsVolume extends Volume {
  readonly driver: 'btrfs'
  /** Of the file system that it was made on; absent when a person wrote the path. */
  readonly uuid?: string
}

/** No smaller limit leaves room for the metadata of an empty subvolume. */
const SMALLEST_LIMIT = 1024 * 1024
const COMMON = { dependents: async () => [], stream: btrfsStream }

export function makeBtrfsDriver(paths: Pick<Paths, 'installRoot'>): StorageDriver<BtrfsVolume> {
  const addon = () => loadAddon(paths.installRoot)
  const locate = async (at: VolumeRef): Promise<BtrfsVolume> => {
    const uuid = addon().btrfsInspect(at.dir)?.fsUuid
    return { driver: 'btrfs', path: join(at.dir, at.name), ...(uuid === undefined ? {} : { uuid }) }
  }
  const snapshotTo = async (from: BtrfsVolume, to: VolumeRef, how: MakeOptions & { readonly readOnly: boolean; readonly verb: string }) => {
    throwIfAborted(how.signal)
    requirePool(addon(), from, how.verb)
    const volume = await locate(to)
    requirePrivateAncestor(volume.path)
    await addon().btrfsSnapshot(from.path, volume.path, how.readOnly)
    return volume
  }
  return {
    name: 'btrfs',
    independent: true,
    parse,
    probe: async ({ dir }) => capabilities(addon(), dir),
    locate,
    async create(at, { signal } = {}) {
      throwIfAborted(signal)
      const volume = await locate(at)
      requirePrivateAncestor(volume.path)
      await addon().btrfsCreate(volume.path)
      return volume
    },
    async clone(from, to, { signal, shift = 0 } = {}) {
      throwIfAborted(signal)
      if (shift !== 0) {
        throw new HostError(`cannot clone '${from.path}': a snapshot of btrfs keeps its owners`, { hint: 'tslxc copy NAME NEWNAME' })
      }
      return await snapshotTo(from, to, { readOnly: false, verb: 'clone' })
    },
    snapshot: (of, as, options) => snapshotTo(of, as, { ...options, readOnly: true, verb: 'make a snapshot of' }),
    async exchange(volume, made) {
      requirePool(addon(), volume, 'replace')
      return { live: { ...made, path: volume.path }, aside: await swapPaths(volume, made) }
    },
    async destroy(volume) {
      requirePool(addon(), volume, 'delete')
      // Of a half-made one there may be a plain directory.
      if (!(await addon().btrfsDestroy(volume.path))) await removeTree(paths, volume.path)
    },
    withMounted: (volume, use) => use(volume.path),
    rootfsPlan: (volume) => ({ kind: 'bind', path: volume.path, recursive: false }),
    ...COMMON,
    resize: (volume, bytes) => limit(addon(), volume, bytes),
    usage: (volume) => usage(addon(), volume),
  }
}

function parse(path: string): BtrfsVolume {
  if (!isAbsolute(path)) {
    throw new UsageError(`cannot use the subvolume '${path}': its path is not absolute`, { hint: 'btrfs:/PATH/OF/SUBVOLUME' })
  }
  return { driver: 'btrfs', path: path.length > 1 ? normalize(path).replace(/\/+$/, '') : path }
}

function capabilities(addon: NativeAddon, dir: string): Capabilities {
  if (process.geteuid?.() !== 0) {
    return { usable: false, reason: 'only root can delete and list subvolumes', hint: 'sudo tslxc …' }
  }
  const found = addon.btrfsInspect(nearest(dir))
  if (found === undefined) {
    return { usable: false, reason: `'${dir}' is not on btrfs`, hint: `mkfs.btrfs /dev/DISK && mount /dev/DISK '${dir}'` }
  }
  if (found.readOnlyMount) {
    return {
      usable: false,
      reason: `the btrfs at '${dir}' is mounted read-only`,
      hint: `mount -o remount,rw "$(findmnt -no TARGET -T '${dir}')"`,
    }
  }
  return { usable: true, cow: true, clonesAreCopies: true, quota: true, snapshotsNeedFreeze: true }
}

/** Where its file system is not mounted any more, a volume only seems to be absent. */
function requirePool(addon: NativeAddon, volume: BtrfsVolume, verb: string): BtrfsInspection | undefined {
  const found = addon.btrfsInspect(nearest(volume.path))
  if (volume.uuid === undefined || found?.fsUuid === volume.uuid) return found
  throw new HostError(`cannot ${verb} '${volume.path}': the btrfs ${volume.uuid}, which holds it, is not mounted there`, {
    hint: `mount UUID=${volume.uuid} MOUNTPOINT`,
  })
}

function nearest(path: string): string {
  let at = path
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at)
  return at
}

async function limit(addon: NativeAddon, volume: BtrfsVolume, bytes: number | undefined): Promise<BtrfsVolume> {
  requirePool(addon, volume, 'limit the size of')
  const { limitBytes: _, ...unlimited } = volume
  if (bytes === undefined) {
    await addon.btrfsLimit(volume.path, undefined)
    return unlimited
  }
  const what = `cannot limit '${volume.path}' to ${printSizeRounded(bytes)}`
  if (bytes < SMALLEST_LIMIT) throw new UsageError(`${what}: the smallest limit is ${printSizeRounded(SMALLEST_LIMIT)}`)
  await addon.btrfsEnableQuota(volume.path)
  const { counted = 0 } = await addon.btrfsUsage(volume.path)
  if (counted > bytes) {
    throw new HostError(`${what}: it holds ${printSizeRounded(counted)}`, {
      code: 'no-space',
      hint: `btrfs filesystem du -s '${volume.path}'`,
    })
  }
  await addon.btrfsLimit(volume.path, bytes)
  return { ...unlimited, limitBytes: bytes }
}

async function usage(addon: NativeAddon, volume: BtrfsVolume): Promise<Usage> {
  requirePool(addon, volume, 'measure')
  const { exclusive, referenced, limit } = await addon.btrfsUsage(volume.path)
  // What simple quotas do not count becomes less while files are replaced: the limit that was asked for is in the record.
  const limitBytes = limit === undefined ? undefined : (volume.limitBytes ?? limit)
  return { usedBytes: exclusive, referencedBytes: referenced, ...(limitBytes === undefined ? {} : { limitBytes }) }
}
