import type { FlagInput } from '@oclif/core/parser'
import { BaseCommand } from '../../cli/base-command.ts'
import { readEnvironment } from '../../cli/environment.ts'
import { Args } from '../../cli/flags.ts'
import { flagsOfTemplate, templateFlags, withoutDashes } from '../../cli/template-flags.ts'
import type { FetchedImage } from '../../container/create/images.ts'
import { printSizeRounded } from '../../lib/units.ts'
import { makePaths } from '../../platform/paths.ts'

export default class ImageFetch extends BaseCommand<FetchedImage> {
  static override summary = 'Fetch the base of a template into the cache'
  static override description =
    'What create does first, alone: a later create with the same template and options copies it and needs no network. ' +
    "The template's own options are taken too; `tslxc image fetch TEMPLATE --help` lists them."
  static override args = { template: Args.string({ description: 'Name of the template', required: true, ignoreStdin: true }) }
  static override flags = { ...templateFlags }
  static override examples = ['tslxc image fetch debian', 'tslxc image fetch debian -r trixie --packages vim,git']

  protected override async extraFlags(argv: readonly string[]): Promise<FlagInput> {
    // A template comes first, as a word.
    const [template] = argv
    if (template === undefined || template.startsWith('-')) return {}
    const { root, installRoot } = readEnvironment()
    return await flagsOfTemplate(makePaths({ root, installRoot }), template)
  }

  async run(): Promise<FetchedImage> {
    const { args, flags, extra, context } = await this.parse(ImageFetch, withoutDashes(this.argv))
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('fetch', `image '${args.template}'`)
    const { fetchTemplateImage } = await import('../../container/create/images.ts')
    const request = { template: args.template, options: extra, mirror: context.environment.mirror, refresh: flags['flush-cache'] }
    return await fetchTemplateImage(context, request)
  }

  override summarize({ about, cached, sizeBytes }: FetchedImage): string {
    return `${about}: ${cached ? 'already in the cache' : 'fetched'}, ${printSizeRounded(sizeBytes)}\n`
  }
}
