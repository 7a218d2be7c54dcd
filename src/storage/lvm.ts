/**
 * Root file systems on logical volumes: in a thin pool, where clones and snapshots share blocks, or thick.
 *
 * A thick volume is cloned and snapshotted by a full copy, of one moment: a copy-on-write snapshot of LVM's would slow
 * the origin down, go bad when it runs full, and keep the origin from being removed.
 */
import { HostError, UsageError } from '../lib/errors.ts'
import type { Paths } from '../platform/paths.ts'
import { checkFstype } from './block-fs.ts'
import type { Capabilities, StorageDriver, Volume, VolumeRef } from './driver.ts'
import { exchangeVolumes, removeVolume } from './lvm-change.ts'
import { makeLvmMaker } from './lvm-make.ts'
import { groupOf, type LvmVolume, ownerTag, parsePath, pathOf, volumeName } from './lvm-names.ts'
import { poolOf, requireRoom } from './lvm-pool.ts'
import { readGroup, type VolumeGroup } from './lvm-report.ts'
import { resizeVolume, usageOf } from './lvm-size.ts'
import { whyNoLvm } from './lvm-tools.ts'

export type { LvmVolume } from './lvm-names.ts'

const DEFAULT_SIZE_BYTES = 1024 ** 3
const DEFAULT_FSTYPE = 'ext4'

export function makeLvmDriver(paths: Pick<Paths, 'installRoot'>): StorageDriver<LvmVolume> {
  const maker = makeLvmMaker(paths, locateIn)
  return {
    name: 'lvm',
    parse: parsePath,
    probe,
    locate: async (at) => locateIn(at, await readGroup(groupOf(at))),
    create: maker.create,
    clone: maker.clone,
    snapshot: maker.snapshot,
    exchange: exchangeVolumes,
    destroy: removeVolume,
    withMounted: maker.withMounted,
    rootfsPlan: ({ path, fstype }) => ({ kind: 'block', device: path, type: fstype }),
    async dependents(volume, others) {
      const candidates = others.filter(isLvm).filter(({ vg }) => vg === volume.vg)
      if (volume.thinPool !== undefined || candidates.length === 0) return []
      const { volumes } = await readGroup(volume.vg)
      const snapshots = volumes.filter(({ origin, pool }) => origin === volume.lv && pool === undefined).map(({ name }) => name)
      return candidates.filter(({ lv }) => snapshots.includes(lv))
    },
    resize: (volume, sizeBytes) => resizeVolume(maker, volume, sizeBytes),
    usage: (volume) => usageOf(maker, volume),
  }
}

const isLvm = (volume: Volume): volume is LvmVolume => volume.driver === 'lvm'

/** @throws HostError, UsageError */
function locateIn(at: VolumeRef, group: VolumeGroup): LvmVolume {
  const { fstype = DEFAULT_FSTYPE, sizeBytes = DEFAULT_SIZE_BYTES } = at.pool
  checkFstype(fstype)
  if (!(sizeBytes > 0)) throw new UsageError(`cannot make a logical volume of ${sizeBytes} bytes`)
  const lv = volumeName(at)
  const pool = poolOf(group, at.pool.thinPool)
  return {
    driver: 'lvm',
    path: pathOf(group.name, lv),
    vg: group.name,
    lv,
    ...(pool === undefined ? {} : { thinPool: pool.name }),
    fstype,
    sizeBytes: Math.ceil(sizeBytes / group.extentBytes) * group.extentBytes,
    tag: ownerTag(at),
  }
}

/** The kernel freezes a file system when LVM takes a snapshot of its device; not btrfs. */
async function probe(at: Pick<VolumeRef, 'dir' | 'pool'>): Promise<Capabilities> {
  const missing = whyNoLvm()
  if (missing !== undefined) return { usable: false, ...missing }
  try {
    const group = await readGroup(groupOf(at))
    const pool = poolOf(group, at.pool.thinPool)
    requireRoom(group, pool, pool === undefined ? group.extentBytes : 0)
    // dm-snapshot freezes the file system itself, but for btrfs, which it can't.
    const below =
      at.pool.fstype === 'btrfs' ? ({ snapshotsNeedFreeze: true, snapshotsNeedFlush: true } as const) : { snapshotsNeedFreeze: false }
    return { usable: true, cow: pool !== undefined, quota: true, ...below }
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    return { usable: false, reason: error.message.replace(/^cannot use LVM: /, ''), hint: error.hint ?? 'vgs' }
  }
}
