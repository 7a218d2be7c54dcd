/** Images in the cache and their copies in stores, seen together: `image ls` and `image rm`. */
import { type ImageRecord, listImages, removeImage } from '../../image/cache.ts'
import { NotFoundError } from '../../lib/errors.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Volume } from '../../storage/driver.ts'
import { imageCache, type Surroundings } from './images.ts'
import { listPoolImages, removePoolImages } from './pool-image.ts'

export interface ListedImage extends ImageRecord {
  /** Drivers of the stores that have a copy to make clones of. */
  readonly stores: readonly string[]
}

export interface RemovedImage {
  readonly fingerprint: string
  /** For people; absent when only copies in stores were left of it. */
  readonly about?: string
  /** Drivers of the stores it was removed from. */
  readonly stores: readonly string[]
  /** Copies that containers can't do without. */
  readonly kept: readonly { readonly driver: string; readonly neededBy: readonly string[] }[]
}

export async function listImagesInStores(paths: Paths): Promise<readonly ListedImage[]> {
  const copies = (await listPoolImages(paths)).filter(({ volume }) => volume !== undefined)
  return (await listImages(paths)).map((image) => ({
    ...image,
    stores: copies.filter(({ fingerprint }) => fingerprint === image.fingerprint).map(({ driver }) => driver),
  }))
}

/** Every fingerprint there is: of the cache, and of copies whose image has gone. */
export async function allFingerprints(paths: Paths): Promise<readonly string[]> {
  const images = await listImages(paths)
  const copies = await listPoolImages(paths)
  return [...new Set([...images, ...copies].map(({ fingerprint }) => fingerprint))]
}

/**
 * Removes an image from the cache and from the stores of this lxcpath.
 * @param wanted a fingerprint, or its first characters
 * @throws NotFoundError
 */
export async function removeImageEverywhere(around: Surroundings, wanted: string): Promise<RemovedImage> {
  const image = await removeCached(around, wanted)
  const { removed, kept } = await removePoolImages(around, image.fingerprint)
  return {
    ...image,
    stores: removed.map(({ driver }) => driver),
    kept: kept.map(({ driver, neededBy }) => ({ driver, neededBy })),
  }
}

async function removeCached(around: Surroundings, wanted: string): Promise<{ fingerprint: string; about?: string }> {
  try {
    const { fingerprint, about } = await removeImage<Volume>(imageCache(around), wanted)
    return { fingerprint, about }
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    const left = new Set(
      (await listPoolImages(around.paths)).map(({ fingerprint }) => fingerprint).filter((found) => found.startsWith(wanted)),
    )
    const [only] = left
    if (only === undefined || left.size > 1) throw error
    return { fingerprint: only }
  }
}
