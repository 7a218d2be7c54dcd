/** How large logical volumes are, and making them larger and smaller. */
import { statfs } from 'node:fs/promises'
import { HostError, NotFoundError } from '../lib/errors.ts'
import { growFilesystem, shrinkFilesystem } from './block-fs.ts'
import type { Usage } from './driver.ts'
import type { LvmMaker } from './lvm-make.ts'
import { type LvmVolume, targetOf } from './lvm-names.ts'
import { poolOf, requireRoom } from './lvm-pool.ts'
import { findVolume, type LogicalVolume, readGroup } from './lvm-report.ts'
import { lvm } from './lvm-tools.ts'

/** The device differs from what is asked for by less than an extent. */
export async function resizeVolume(maker: LvmMaker, volume: LvmVolume, sizeBytes: number | undefined): Promise<LvmVolume> {
  const { limitBytes: _, ...unlimited } = volume
  if (sizeBytes === undefined) return unlimited
  const group = await readGroup(volume.vg)
  const now = required(volume, findVolume(group, volume.lv)).sizeBytes
  // Made with an extent more than asked for: not every file system shrinks.
  const isEnough = now - sizeBytes > 0 && now - sizeBytes < group.extentBytes
  const wanted = isEnough ? now : Math.floor(sizeBytes / group.extentBytes) * group.extentBytes
  if (wanted === 0)
    throw new HostError(`cannot resize '${volume.path}' to ${sizeBytes} bytes: an extent has ${group.extentBytes}`, {
      hint: 'vgs -o vg_extent_size',
    })
  if (wanted < now) {
    await shrinkFilesystem(volume.path, volume.fstype, { from: now, to: wanted })
    await lvm(['lvreduce', '-qq', '-f', '-y', '-L', `${wanted}b`, targetOf(volume)])
  } else {
    if (wanted > now) {
      requireRoom(group, volume.thinPool === undefined ? undefined : poolOf(group, volume.thinPool), wanted - now)
      await lvm(['lvextend', '-qq', '-y', '-L', `${wanted}b`, targetOf(volume)])
    }
    // Also when the device has its size already: a resize may have been broken off in between.
    await maker.withMounted(volume, (root) => growFilesystem(maker.paths, root, wanted))
  }
  return { ...volume, sizeBytes: wanted, limitBytes: sizeBytes }
}

export async function usageOf(maker: LvmMaker, volume: LvmVolume): Promise<Usage> {
  const { sizeBytes, dataPercent, pool } = required(volume, findVolume(await readGroup(volume.vg), volume.lv))
  const referencedBytes = await maker.withMounted(
    volume,
    async (root) => {
      const { blocks, bfree, bsize } = await statfs(root)
      return (blocks - bfree) * bsize
    },
    { readOnly: true },
  )
  const usedBytes = pool === undefined ? sizeBytes : Math.round((sizeBytes * (dataPercent ?? 0)) / 100)
  return { usedBytes, referencedBytes, limitBytes: sizeBytes }
}

function required(volume: LvmVolume, found: LogicalVolume | undefined): LogicalVolume {
  if (found !== undefined) return found
  throw new NotFoundError(`cannot use '${volume.path}': there is no such logical volume`, { hint: 'lvs' })
}
