import { BaseCommand } from '../../cli/base-command.ts'
import { Args, Flags, volumeArg } from '../../cli/flags.ts'
import type { VolumeSnapshotReport } from '../../container/volume/data-volume-snapshot.ts'
import { UsageError } from '../../lib/errors.ts'

type Result = VolumeSnapshotReport | { readonly name: string; readonly removed: string }

export default class VolumeSnapshot extends BaseCommand<Result> {
  static override summary = 'Take or remove a snapshot of a data volume'
  static override description =
    'Containers that run with it stand still meanwhile where its storage needs that. `tslxc volume show` lists the snapshots.'
  static override args = {
    volume: volumeArg,
    snapshot: Args.string({ description: 'Name of the snapshot (snapN)', ignoreStdin: true }),
  }
  static override flags = {
    note: Flags.string({ helpValue: 'TEXT', summary: 'Keep TEXT as a note' }),
    destroy: Flags.string({ char: 'd', helpValue: 'SNAP', summary: 'Remove this snapshot instead' }),
  }
  static override examples = ['tslxc volume snapshot web-data before', 'tslxc volume snapshot -d before web-data']

  async run(): Promise<Result> {
    const { args, flags, context } = await this.parse(VolumeSnapshot)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('use snapshots of', `volume '${args.volume}'`)
    const { removeVolumeSnapshot, takeVolumeSnapshot } = await import('../../container/volume/data-volume-snapshot.ts')
    if (flags.destroy === undefined) return await takeVolumeSnapshot(context, args.volume, { snapshot: args.snapshot, note: flags.note })
    if ((args.snapshot ?? flags.note) !== undefined) throw new UsageError('cannot use -d with a new snapshot')
    await removeVolumeSnapshot(context, args.volume, flags.destroy)
    return { name: args.volume, removed: flags.destroy }
  }

  override summarize(result: Result): string {
    return 'removed' in result
      ? `removed snapshot ${result.removed} of volume ${result.name}\n`
      : `took snapshot ${result.snapshot} of volume ${result.name}\n`
  }
}
