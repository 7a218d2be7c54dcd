/** What volumes lie in: file systems, pools, volume groups; how large those are and how full. */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { CommandError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { DriverName, Volume } from './driver.ts'
import { fileSystemOf } from './file-system.ts'
import type { LvmVolume } from './lvm-names.ts'
import { findVolume, readGroup } from './lvm-report.ts'
import { rows } from './zfs-tools.ts'

export interface StoreUsage {
  /** A mount point, a pool, `GROUP/POOL` or a volume group. */
  readonly name: string
  /** `ext4`, `zpool`, `thin pool`, `volume group`. */
  readonly type: string
  readonly sizeBytes: number
  readonly usedBytes: number
  /** Of 100, where that is kept apart and can run full by itself (thin pools). */
  readonly metadataPercent?: number
  /** What makes it larger, or shows what fills it; can be typed. */
  readonly remedy: string
}

type Look = (volume: Volume) => Promise<StoreUsage>

const onFiles: Look = async (volume) => fileSystemUsage(volume.path)

const LOOKS: Readonly<Record<DriverName, Look>> = {
  dir: onFiles,
  btrfs: onFiles,
  loop: onFiles,
  overlay: async (volume) => fileSystemUsage('dir' in volume && typeof volume.dir === 'string' ? volume.dir : volume.path),
  zfs: async ({ path }) => await zpoolUsage(path.split(/[/@]/, 1)[0] ?? path),
  lvm: async (volume) => await groupUsage(volume as LvmVolume),
}

/** Of the store of one volume. @throws HostError when it is not there */
export const storeUsage = (volume: Volume): Promise<StoreUsage> => LOOKS[volume.driver](volume)

/** What two volumes of one store have in common, without a look at it. */
export function storeKey(volume: Volume): string {
  switch (volume.driver) {
    case 'zfs':
      return `zfs ${volume.path.split('/', 1)[0] ?? ''}`
    case 'lvm':
      return `lvm ${(volume as LvmVolume).vg}/${(volume as LvmVolume).thinPool ?? ''}`
    case 'overlay':
      return 'dir' in volume && typeof volume.dir === 'string' ? deviceKey(volume.dir) : deviceKey(volume.path)
    default:
      return deviceKey(volume.path)
  }
}

/** Of a path, or of the nearest directory above it that is there. */
export function fileSystemUsage(path: string): StoreUsage {
  const { type, mountPoint } = fileSystemOf(path)
  const { blocks, bfree, bavail, bsize } = statfsSync(mountPoint)
  // As df(1): what is kept for root is neither used nor free.
  const usedBytes = (blocks - bfree) * bsize
  const remedy = type === 'btrfs' ? `btrfs filesystem usage '${mountPoint}'` : `du -xh '${mountPoint}' | sort -h | tail`
  return { name: mountPoint, type, sizeBytes: usedBytes + bavail * bsize, usedBytes, remedy }
}

const deviceKey = (path: string): string => fileSystemOf(path.startsWith('/') ? path : dirname(path)).mountPoint

async function zpoolUsage(pool: string): Promise<StoreUsage> {
  const { stdout } = await run(['zpool', 'list', '-H', '-p', '-o', 'size,allocated', pool], { timeoutMs: 10_000 }).catch(
    (error: unknown) => {
      // zfs-fuse knows no exact numbers here.
      if (error instanceof CommandError && /invalid option/.test(error.stderr)) return { stdout: '' }
      throw error
    },
  )
  const [size, used] = rows(stdout)[0] ?? []
  const remedy = `zfs list -o space -r ${pool}`
  if (size !== undefined && used !== undefined)
    return { name: pool, type: 'zpool', sizeBytes: Number(size), usedBytes: Number(used), remedy }
  const { stdout: root } = await run(['zfs', 'get', '-H', '-p', '-o', 'value', 'used,available', pool], { timeoutMs: 10_000 })
  const [inUse = 0, free = 0] = root.trim().split('\n').map(Number)
  return { name: pool, type: 'zpool', sizeBytes: inUse + free, usedBytes: inUse, remedy }
}

async function groupUsage({ vg, thinPool }: LvmVolume): Promise<StoreUsage> {
  const group = await readGroup(vg)
  const pool = thinPool === undefined ? undefined : findVolume(group, thinPool)
  if (pool !== undefined) {
    const { sizeBytes, dataPercent = 0, metadataPercent } = pool
    return {
      name: `${vg}/${pool.name}`,
      type: 'thin pool',
      sizeBytes,
      usedBytes: Math.round((sizeBytes * dataPercent) / 100),
      ...(metadataPercent === undefined ? {} : { metadataPercent }),
      remedy:
        (metadataPercent ?? 0) > dataPercent
          ? `lvextend --poolmetadatasize +64M ${vg}/${pool.name}`
          : `lvextend -L +10G ${vg}/${pool.name}`,
    }
  }
  const usedBytes = group.volumes.filter((volume) => volume.pool === undefined).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return { name: vg, type: 'volume group', sizeBytes: usedBytes + group.freeBytes, usedBytes, remedy: `vgextend ${vg} /dev/DISK` }
}
