import { BaseCommand } from '../../cli/base-command.ts'
import { Args, Flags } from '../../cli/flags.ts'
import type { ImageRecord } from '../../image/cache.ts'
import { UsageError } from '../../lib/errors.ts'

export default class ImageRm extends BaseCommand<readonly ImageRecord[]> {
  static override summary = 'Remove images from the cache'
  static override description = 'Containers are copies: they do not need their image any more. An image that is being copied is waited for.'
  static override args = {
    image: Args.string({
      description: 'Fingerprints, or their first digits, as `tslxc image ls` shows them',
      multiple: true,
      ignoreStdin: true,
    }),
  }
  static override flags = { all: Flags.boolean({ char: 'a', summary: 'Remove all images' }) }
  static override examples = ['tslxc image rm 3f2a', 'tslxc image rm --all']

  async run(): Promise<readonly ImageRecord[]> {
    const { args, flags, context } = await this.parse(ImageRm)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('remove', 'an image')
    const { listImages, removeImage } = await import('../../image/cache.ts')
    const { imageCache } = await import('../../container/images.ts')
    const named = args.image ?? []
    if (flags.all === named.length > 0) throw new UsageError('name images, or give --all', { hint: 'tslxc image ls' })
    const wanted = flags.all ? (await listImages(context.paths)).map(({ fingerprint }) => fingerprint) : named
    const removed: ImageRecord[] = []
    for (const image of wanted) removed.push(await removeImage(imageCache(context), image))
    return removed
  }

  override summarize(removed: readonly ImageRecord[]): string {
    return removed.map(({ fingerprint, about }) => `removed ${fingerprint.slice(0, 12)} (${about})\n`).join('')
  }
}
