/** Making image files larger and smaller, with the file system inside. */
import { statSync } from 'node:fs'
import { statfs, truncate } from 'node:fs/promises'
import { HostError, StateError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import { loadAddon } from '../platform/addon.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'
import { fstypeOf, growFilesystem, growUnmounted, shrinkFilesystem } from './block-fs.ts'
import type { Volume } from './driver.ts'

interface Image extends Volume {
  readonly fstype: string
  readonly sizeBytes?: number
}

interface Sizes {
  readonly from: number
  readonly to: number
}

const BLOCK = 4096

/**
 * Grows also while it is mounted, by whomever: a second mount shows the same file system, and through it that is told to
 * grow. Shrinks only what is in nobody's use.
 * @param sizeBytes undefined: the image stays as it is
 */
export async function resizeImage<V extends Image>(paths: Pick<Paths, 'installRoot'>, image: V, sizeBytes: number | undefined): Promise<V> {
  const { limitBytes: _, ...rest } = image
  if (sizeBytes === undefined) return rest as V
  const now = statSync(image.path).size
  // Made with a block more than asked for: not every file system shrinks.
  const wanted = now - sizeBytes > 0 && now - sizeBytes < BLOCK ? now : Math.floor(sizeBytes / BLOCK) * BLOCK
  if (wanted < now) await shrink(paths, image, { from: now, to: wanted })
  else await grow(paths, image, { from: now, to: wanted })
  return { ...image, sizeBytes: wanted, limitBytes: sizeBytes }
}

/** Also when the file has its size already: a resize may have been broken off in between. */
async function grow(paths: Pick<Paths, 'installRoot'>, image: Image, size: Sizes): Promise<void> {
  await truncate(image.path, size.to)
  loadAddon(paths.installRoot).refreshLoopSize(image.path)
  const source = { kind: 'loop', file: image.path, type: image.fstype } as const
  try {
    await withDetachedMount(paths, source, (root) => growFilesystem(paths, root, size.to))
  } catch (error) {
    // Root without CAP_SYS_RESOURCE, as in some containers, may not while it is mounted. ext4's EXT4_IOC_RESIZE_FS
    const isRefused = error instanceof HostError && error.code === 'permission'
    if (!isRefused) throw error
    if (loadAddon(paths.installRoot).loopDeviceOf(image.path) !== undefined) {
      await truncate(image.path, size.from)
      loadAddon(paths.installRoot).refreshLoopSize(image.path)
      throw error
    }
    await growUnmounted(image.path, image.fstype === 'auto' ? await fstypeOf(image.path) : image.fstype)
  }
}

async function shrink(paths: Pick<Paths, 'installRoot'>, image: Image, size: Sizes): Promise<void> {
  const what = `cannot shrink '${image.path}' from ${printSizeRounded(size.from)} to ${printSizeRounded(size.to)}`
  const device = loadAddon(paths.installRoot).loopDeviceOf(image.path)
  if (device !== undefined) throw new StateError('running', `${what}: it is in use on ${device}`, { hint: `findmnt ${device}` })
  const fstype = image.fstype === 'auto' ? await fstypeOf(image.path) : image.fstype
  const used = await usedBytes(paths, image)
  if (size.to < used) {
    throw new HostError(`${what}: it holds ${printSizeRounded(used)}`, { code: 'no-space', hint: 'remove some of the content first' })
  }
  await shrinkFilesystem(image.path, fstype ?? 'auto', size)
  await truncate(image.path, size.to)
}

const usedBytes = (paths: Pick<Paths, 'installRoot'>, image: Image): Promise<number> =>
  withDetachedMount(
    paths,
    { kind: 'loop', file: image.path, type: image.fstype },
    async (root) => {
      const { blocks, bfree, bsize } = await statfs(root)
      return (blocks - bfree) * bsize
    },
    { readOnly: true },
  )
