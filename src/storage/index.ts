/** The storage drivers. A line here and a file beside it add one. */
import { dirname } from 'node:path'
import { UsageError } from '../lib/errors.ts'
import type { Paths } from '../platform/paths.ts'
import { makeBtrfsDriver } from './btrfs.ts'
import { makeDirDriver } from './dir.ts'
import type { DriverName, Pool, StorageDriver, Volume } from './driver.ts'
import { makeLoopDriver } from './loop.ts'
import { makeLvmDriver } from './lvm.ts'
import { makeOverlayDriver } from './overlay.ts'
import { makeZfsDriver } from './zfs.ts'

const MAKERS = {
  dir: makeDirDriver,
  overlay: makeOverlayDriver,
  btrfs: makeBtrfsDriver,
  lvm: makeLvmDriver,
  loop: makeLoopDriver,
  zfs: makeZfsDriver,
} satisfies Record<DriverName, (paths: Paths) => StorageDriver<Volume & { readonly driver: DriverName }>>

export const driverNames: readonly DriverName[] = Object.keys(MAKERS) as DriverName[]

/** @throws UsageError with the names there are */
export function storageDriver(paths: Paths, name: string): StorageDriver {
  // LXC's older spelling.
  const wanted = name === 'overlayfs' ? 'overlay' : name
  if (!(wanted in MAKERS)) throw new UsageError(`cannot use the storage '${name}': there is ${driverNames.join(', ')}`)
  return MAKERS[wanted as keyof typeof MAKERS](paths)
}

/** The driver that made a volume. */
export const driverOf = (paths: Paths, volume: Volume): StorageDriver => storageDriver(paths, volume.driver)

/** `rootfs.path` of a volume. */
export const volumeText = ({ driver, path }: Volume): string => `${driver}:${path}`

/** Where in its store a volume is, for what is made beside it. */
export function poolOf(volume: Volume): Pool {
  const { vg, thinPool, fstype, sizeBytes }: Pool = volume as Volume & Pool
  const [dataset = ''] = volume.path.split('@')
  return {
    ...(volume.driver === 'zfs' ? { zfsRoot: dirname(dataset) } : {}),
    ...(vg === undefined ? {} : { vg }),
    ...(thinPool === undefined ? {} : { thinPool }),
    // What its superblock says is no choice.
    ...(fstype === undefined || fstype === 'auto' ? {} : { fstype }),
    // 0: not known, as of a path that a person wrote.
    ...(sizeBytes === undefined || sizeBytes === 0 ? {} : { sizeBytes }),
  }
}
