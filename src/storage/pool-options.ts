/** What may be said about where a store keeps things: names, sizes, and which drivers have a use for which option. */
import { UsageError } from '../lib/errors.ts'
import type { DriverName, Pool } from './driver.ts'

/** Options of a command, as they were typed. */
export interface PoolOptions {
  readonly lvname?: string | undefined
  readonly vgname?: string | undefined
  readonly thinpool?: string | undefined
  readonly fstype?: string | undefined
  readonly fssize?: string | undefined
  readonly zfsroot?: string | undefined
}

/** Drivers that have a use for an option. */
export const OPTION_USERS = {
  dir: ['dir'],
  lvname: ['lvm'],
  vgname: ['lvm'],
  thinpool: ['lvm'],
  fstype: ['lvm', 'loop'],
  fssize: ['lvm', 'loop'],
  zfsroot: ['zfs'],
} as const satisfies Readonly<Record<keyof PoolOptions | 'dir', readonly DriverName[]>>

export const FILE_SYSTEM_TYPES: readonly string[] = ['ext4', 'xfs', 'btrfs']

const UNITS = 'bkmgt'
const DEFAULT_UNIT = 'm'
const KIB = 1024

/** LXC's: `N[bBkKmMgGtT]`, in MiB without a unit. @throws UsageError */
export function parseBlockSize(option: string, text: string): number {
  const [, digits, unit = DEFAULT_UNIT] = /^(\d+)([bkmgt]?)$/i.exec(text) ?? []
  const sizeBytes = Number(digits) * KIB ** UNITS.indexOf((unit === '' ? DEFAULT_UNIT : unit).toLowerCase())
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return sizeBytes
  throw new UsageError(`cannot use --${option} '${text}': it is not N[bBkKmMgGtT]`, { hint: `--${option} 2G` })
}

/** @throws UsageError */
export function parsePoolOptions(options: PoolOptions): Pool {
  const { lvname, vgname, thinpool, fstype, fssize, zfsroot } = options
  if (fstype !== undefined && !FILE_SYSTEM_TYPES.includes(fstype)) {
    throw new UsageError(`cannot use --fstype '${fstype}': there is ${FILE_SYSTEM_TYPES.join(', ')}`)
  }
  return {
    ...(lvname === undefined ? {} : { lvName: checked('lvname', lvname, isLvmName) }),
    ...(vgname === undefined ? {} : { vg: checked('vgname', vgname, isLvmName) }),
    ...(thinpool === undefined ? {} : { thinPool: checked('thinpool', thinpool, isLvmName) }),
    ...(fstype === undefined ? {} : { fstype }),
    ...(fssize === undefined ? {} : { sizeBytes: parseBlockSize('fssize', fssize) }),
    ...(zfsroot === undefined ? {} : { zfsRoot: checked('zfsroot', zfsroot, isDatasetName) }),
  }
}

function checked(option: string, text: string, isValid: (text: string) => boolean): string {
  if (isValid(text)) return text
  throw new UsageError(`cannot use --${option} '${text}': it can not be such a name`)
}

/** lvm(8), "valid names" */
export const isLvmName = (text: string): boolean => /^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*$/.test(text) && text !== '.' && text !== '..'

/** zfs(8): a pool, or datasets below one. */
export const isDatasetName = (text: string): boolean => /^[A-Za-z][A-Za-z0-9_.:-]*(\/[A-Za-z0-9_.:-]+)*$/.test(text)
