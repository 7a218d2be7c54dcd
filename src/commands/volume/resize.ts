import { BaseCommand } from '../../cli/base-command.ts'
import { Args, volumeArg } from '../../cli/flags.ts'
import type { DataVolume } from '../../container/volume/data-volume.ts'
import { printSize } from '../../lib/units.ts'

export default class VolumeResize extends BaseCommand<DataVolume> {
  static override summary = 'Change how much a data volume may hold'
  static override description = 'Growing works while containers run with it; shrinking is refused where the content is larger.'
  static override args = {
    volume: volumeArg,
    size: Args.string({ description: 'The new size, or none for no limit', required: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc volume resize web-data 10G']

  async run(): Promise<DataVolume> {
    const { args, context } = await this.parse(VolumeResize)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('resize', `volume '${args.volume}'`)
    const { parseVolumeSize } = await import('../../container/volume/data-volume-size.ts')
    const { resizeDataVolume } = await import('../../container/volume/data-volume-change.ts')
    return await resizeDataVolume(context, args.volume, args.size === 'none' ? undefined : parseVolumeSize(args.size))
  }

  override summarize({ name, size }: DataVolume): string {
    return size === undefined ? `${name} has no limit now\n` : `${name} holds up to ${printSize(size)} now\n`
  }
}
