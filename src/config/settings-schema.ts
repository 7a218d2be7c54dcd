/** The keys of `tslxc.yaml`, the settings of the whole system. What a key means stands in describe.ts. */
import type { output } from 'zod/mini'
import * as z from 'zod/mini'
import { BadValue, field, group, type Merged, type Scalar } from '../lib/fields.ts'
import { absolutePath, text } from '../lib/values.ts'
import { FILE_SYSTEM_TYPES, isDatasetName, isLvmName } from '../storage/pool-options.ts'
import { diskLimit, logLevel } from './scalars.ts'

function lvmName(value: Scalar): string {
  if (!isLvmName(text(value))) throw new BadValue(`'${value}' can't be the name of a volume group or pool`, 'see lvm(8)')
  return text(value)
}

function dataset(value: Scalar): string {
  if (!isDatasetName(text(value))) throw new BadValue(`'${value}' can't be the name of a dataset`, 'for example tank/lxc')
  return text(value)
}

function fileSystemType(value: Scalar): string {
  if (!FILE_SYSTEM_TYPES.includes(text(value))) throw new BadValue(`'${value}' is none of ${FILE_SYSTEM_TYPES.join(', ')}`)
  return text(value)
}

/** Whether each is a storage there is, `create` says. */
function storageNames(value: Scalar): string {
  const names = text(value)
  if (!/^[a-z]+(,[a-z]+)*$/.test(names)) throw new BadValue(`'${value}' is no storage`, 'for example btrfs, or best')
  return names
}

const zfs = group({ root: field(dataset) })
const lvm = group({ vg: field(lvmName), thin_pool: field(lvmName) })

export const settingsSchema = z.strictObject({
  lxcpath: field(absolutePath),
  default_config: field(absolutePath),
  log: group({ level: field(logLevel) }),
  storage: group({ default: field(storageNames), zfs, lvm, fstype: field(fileSystemType), size: field(diskLimit) }),
  // LXC's names for the same.
  bdev: group({ zfs, lvm }),
})

export const SETTINGS_KEYS: readonly string[] = [
  'lxcpath',
  'default_config',
  'log.level',
  'storage.default',
  'storage.zfs.root',
  'storage.lvm.vg',
  'storage.lvm.thin_pool',
  'storage.fstype',
  'storage.size',
  'bdev.zfs.root',
  'bdev.lvm.vg',
  'bdev.lvm.thin_pool',
]

export type Settings = Merged<output<typeof settingsSchema>>
