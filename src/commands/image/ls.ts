import { BaseCommand } from '../../cli/base-command.ts'
import { renderTable } from '../../cli/output.ts'
import type { ImageRecord } from '../../image/cache.ts'
import { printSizeRounded } from '../../lib/units.ts'

const SHOWN_DIGITS = 12

export default class ImageLs extends BaseCommand<readonly ImageRecord[]> {
  static override summary = 'List the images in the cache'
  static override examples = ['tslxc image ls', 'tslxc image ls --json']

  async run(): Promise<readonly ImageRecord[]> {
    const { context } = await this.parse(ImageLs)
    const { listImages } = await import('../../image/cache.ts')
    return await listImages(context.paths)
  }

  override async print(images: readonly ImageRecord[]): Promise<string> {
    if (images.length === 0) return ''
    const rows = images.map(({ fingerprint, template, about, sizeBytes, createdAt }) => [
      fingerprint.slice(0, SHOWN_DIGITS),
      template,
      about,
      printSizeRounded(sizeBytes),
      createdAt.slice(0, 16).replace('T', ' '),
    ])
    return await renderTable(['FINGERPRINT', 'TEMPLATE', 'IMAGE', 'SIZE', 'FETCHED'], rows)
  }
}
