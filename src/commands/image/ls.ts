import { BaseCommand } from '../../cli/base-command.ts'
import { renderTable } from '../../cli/output.ts'
import type { ListedImage } from '../../container/create/image-stores.ts'
import { printSizeRounded } from '../../lib/units.ts'

const SHOWN_DIGITS = 12

export default class ImageLs extends BaseCommand<readonly ListedImage[]> {
  static override summary = 'List the images in the cache'
  static override description = 'STORES are those that have a copy of their own, of which containers are clones.'
  static override examples = ['tslxc image ls', 'tslxc image ls --json']

  async run(): Promise<readonly ListedImage[]> {
    const { context } = await this.parse(ImageLs)
    const { listImagesInStores } = await import('../../container/create/image-stores.ts')
    return await listImagesInStores(context.paths)
  }

  override async print(images: readonly ListedImage[]): Promise<string> {
    if (images.length === 0) return ''
    const rows = images.map(({ fingerprint, template, about, sizeBytes, createdAt, stores }) => [
      fingerprint.slice(0, SHOWN_DIGITS),
      template,
      about,
      printSizeRounded(sizeBytes),
      createdAt.slice(0, 16).replace('T', ' '),
      stores.length === 0 ? '-' : stores.join(','),
    ])
    return await renderTable(['FINGERPRINT', 'TEMPLATE', 'IMAGE', 'SIZE', 'FETCHED', 'STORES'], rows)
  }
}
