/** What works with any driver. */
import type { Paths } from '../platform/paths.ts'
import { copyTree, type TreeCopyOptions } from '../platform/trees.ts'
import type { CloneOptions, StorageDriver, Volume, VolumeRef } from './driver.ts'
import { driverOf } from './index.ts'

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
    return made
  } catch (error) {
    await driver.destroy(made)
    throw error
  }
}
