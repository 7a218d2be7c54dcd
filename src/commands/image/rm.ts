import { BaseCommand } from '../../cli/base-command.ts'
import { Args, Flags } from '../../cli/flags.ts'
import type { RemovedImage } from '../../container/create/image-stores.ts'
import { UsageError } from '../../lib/errors.ts'

export default class ImageRm extends BaseCommand<readonly RemovedImage[]> {
  static override summary = 'Remove images from the cache'
  static override description =
    'Containers are copies: they do not need their image any more. Copies of it in a store go too, unless containers there stand on them. An image that is being copied is waited for.'
  static override args = {
    image: Args.string({
      description: 'Fingerprints, or their first digits, as `tslxc image ls` shows them',
      multiple: true,
      ignoreStdin: true,
    }),
  }
  static override flags = { all: Flags.boolean({ char: 'a', summary: 'Remove all images' }) }
  static override examples = ['tslxc image rm 3f2a', 'tslxc image rm --all']

  async run(): Promise<readonly RemovedImage[]> {
    const { args, flags, context } = await this.parse(ImageRm)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('remove', 'an image')
    const { allFingerprints, removeImageEverywhere } = await import('../../container/create/image-stores.ts')
    const named = args.image ?? []
    if (flags.all === named.length > 0) throw new UsageError('name images, or give --all', { hint: 'tslxc image ls' })
    const wanted = flags.all ? await allFingerprints(context.paths) : named
    const removed: RemovedImage[] = []
    for (const image of wanted) removed.push(await removeImageEverywhere(context, image))
    return removed
  }

  override summarize(removed: readonly RemovedImage[]): string {
    return removed
      .map(({ fingerprint, about, kept }) => {
        const name = fingerprint.slice(0, 12)
        const left = kept.map(
          ({ driver, neededBy }) => `kept the copy of ${name} on ${driver}: ${neededBy.join(', ')} can't do without it\n`,
        )
        return `removed ${name}${about === undefined ? '' : ` (${about})`}\n${left.join('')}`
      })
      .join('')
  }
}
