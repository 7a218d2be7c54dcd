import { BaseCommand } from '../../cli/base-command.ts'
import { Args, volumeArg } from '../../cli/flags.ts'

interface Restored {
  readonly name: string
  readonly snapshot: string
}

export default class VolumeRestore extends BaseCommand<Restored> {
  static override summary = 'Make a data volume what it was in a snapshot'
  static override description =
    'The containers that have it must be stopped. The old content is there until the new one is; all snapshots stay.'
  static override args = {
    volume: volumeArg,
    snapshot: Args.string({ description: 'Name of the snapshot', required: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc volume restore web-data before']

  async run(): Promise<Restored> {
    const { args, context } = await this.parse(VolumeRestore)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('restore', `volume '${args.volume}'`)
    const { restoreVolumeSnapshot } = await import('../../container/volume/data-volume-snapshot.ts')
    return await restoreVolumeSnapshot(context, args.volume, args.snapshot)
  }

  override summarize({ name, snapshot }: Restored): string {
    return `restored volume ${name} from ${snapshot}\n`
  }
}
