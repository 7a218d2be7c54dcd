/** Names of logical volumes, and whose they are. */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { UsageError } from '../lib/errors.ts'
import type { Volume, VolumeRef } from './driver.ts'

export interface LvmVolume extends Volume {
  readonly driver: 'lvm'
  readonly vg: string
  readonly lv: string
  /** Absent: a thick one. */
  readonly thinPool?: string
  /** `auto` for a path that a person wrote. */
  readonly fstype: string
  /** Of the device; 0 for a path that a person wrote. */
  readonly sizeBytes: number
  /** On the device: by it ours is told from another's of the same name. */
  readonly tag?: string
}

/** On everything that we make: `lvs @tslxc`. */
export const OURS = 'tslxc'
const DEFAULT_VG = 'lxc'
const TAG_DIGITS = 16
const MAX_NAME_LENGTH = 120
/** lvm(8): names of its own parts. */
const RESERVED = /_(cdata|cmeta|corig|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin|wcorig|cvol)/g

export const groupOf = (at: Pick<VolumeRef, 'pool'>): string => at.pool.vg ?? DEFAULT_VG
export const pathOf = (vg: string, lv: string): string => `/dev/${vg}/${lv}`
export const targetOf = ({ vg, lv }: Pick<LvmVolume, 'vg' | 'lv'>): string => `${vg}/${lv}`

/** Pure; asks nothing. @throws UsageError */
export function parsePath(path: string): LvmVolume {
  const [, vg, lv] = /^\/dev\/([A-Za-z0-9+_.][\w+.-]*)\/([A-Za-z0-9+_.][\w+.-]*)$/.exec(path) ?? []
  if (vg === undefined || lv === undefined) {
    throw new UsageError(`cannot use '${path}' as a logical volume: it is not of the form /dev/GROUP/NAME`, { hint: 'lvs -o lv_path' })
  }
  return { driver: 'lvm', path, vg, lv, fstype: 'auto', sizeBytes: 0 }
}

/**
 * LVM allows no `@`; `+`, which is in no name of a container, stands for it, and breaks the words that LVM keeps for itself.
 * @throws UsageError
 */
export function volumeName({ label, pool }: Pick<VolumeRef, 'label' | 'pool'>): string {
  const name = pool.lvName ?? label.replaceAll('@', '+')
  const free = pool.lvName === undefined ? name.replace(/^(?=-|snapshot|pvmove)/, '+').replace(RESERVED, '_+$1') : name
  if (!/^[A-Za-z0-9+_.][\w+.-]*$/.test(free) || free === '.' || free === '..' || free.length > MAX_NAME_LENGTH) {
    throw new UsageError(`cannot name a logical volume '${free}': ${MAX_NAME_LENGTH} letters, digits and +_.- at most, no dash first`, {
      hint: 'tslxc create --lvname NAME',
    })
  }
  return free
}

/**
 * Says for which directory and which entry of it a volume was made, so that neither one of another lxcpath in the same
 * group nor that of a container which has since been renamed is taken for ours. Names alone can't.
 */
export function ownerTag({ dir, name, label }: VolumeRef): string {
  const { ino, birthtimeNs } = statSync(dir, { bigint: true })
  const digest = createHash('sha256').update([ino, birthtimeNs, name, label].join('\0')).digest('hex')
  return `${OURS}.${digest.slice(0, TAG_DIGITS)}`
}
