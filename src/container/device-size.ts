/** How large the block devices are that hold an image, in stores that make such. */
import { HostError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import type { StorageDriver, VolumeRef } from '../storage/driver.ts'
import { poolOf } from '../storage/index.ts'
import { OPTION_USERS } from '../storage/pool-options.ts'

/** In bytes. */
export interface DeviceSizes {
  /** Of the new root file system's. */
  readonly volume: number
  /** Of the image's in the store: not above the other, for not every file system shrinks. */
  readonly image: number
}

interface ImageSize {
  readonly about: string
  /** Of its files. */
  readonly sizeBytes: number
}

/** What a file system takes for itself, and some room. */
const ROOM = 1.3
const MIB = 1024 ** 2

/**
 * Undefined: the store makes no block devices. Images are as large as a device that nobody gave a size, so that all who
 * wish for at least that share one.
 * @throws HostError `no-space` when the image does not fit into what is wished for
 */
export async function deviceSizes(driver: StorageDriver, at: VolumeRef, image: ImageSize): Promise<DeviceSizes | undefined> {
  if (!OPTION_USERS.fssize.some((user) => user === driver.name)) return undefined
  const { sizeBytes: wished, ...elsewhere } = at.pool
  const needed = Math.ceil((image.sizeBytes * ROOM) / MIB) * MIB
  if (wished !== undefined && wished < needed) {
    const content = `the content has ${printSizeRounded(image.sizeBytes)}`
    throw new HostError(`cannot put the image '${image.about}' on a device of ${printSizeRounded(wished)}: ${content}`, {
      code: 'no-space',
      hint: `make it ${needed / MIB} MiB at least: --fssize ${needed / MIB}M, or limits.disk`,
    })
  }
  const usual = Math.max(needed, poolOf(await driver.locate({ ...at, pool: elsewhere })).sizeBytes ?? 0)
  return { volume: wished ?? usual, image: Math.min(wished ?? usual, usual) }
}
