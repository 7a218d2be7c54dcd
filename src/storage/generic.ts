/** What works with any driver. */
import type { Paths } from '../platform/paths.ts'
import { copyTree, shiftTree, type TreeCopyOptions } from '../platform/trees.ts'
import type { CloneOptions, StorageDriver, Volume, VolumeRef } from './driver.ts'
import { driverOf } from './index.ts'
import { withShift } from './shift.ts'

/** A full copy of a volume to another place, of the same or another driver. After a failure nothing is left. */
export async function copyVolume(
  paths: Paths,
  from: Volume,
  to: { readonly driver: StorageDriver; readonly at: VolumeRef },
  options: CloneOptions & Pick<TreeCopyOptions, 'signal'> = {},
): Promise<Volume> {
  const { driver, at } = to
  const made = await driver.create(at, options)
  try {
    await driverOf(paths, from).withMounted(
      from,
      (source) => driver.withMounted(made, (target) => copyTree(paths, source, target, options)),
      { readOnly: true },
    )
    return withShift(made, (from.shift ?? 0) + (options.shift ?? 0))
  } catch (error) {
    await driver.destroy(made)
    throw error
  }
}

/** Shifts the owners of a volume in place until `shift` is added to them; its new record. */
export async function shiftVolume(
  paths: Paths,
  volume: Volume,
  shift: number,
  options: Pick<TreeCopyOptions, 'signal'> = {},
): Promise<Volume> {
  const more = shift - (volume.shift ?? 0)
  if (more === 0) return volume
  await driverOf(paths, volume).withMounted(volume, (root) => shiftTree(paths, root, more, options))
  return withShift(volume, shift)
}
