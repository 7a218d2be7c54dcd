import { BaseCommand } from '../../cli/base-command.ts'
import { Flags, volumeArg } from '../../cli/flags.ts'

export default class VolumeDestroy extends BaseCommand<{ readonly name: string }> {
  static override summary = 'Remove a data volume with what is in it'
  static override description = 'Refuses while a container runs with it, while one has it in its configuration, and while it has snapshots.'
  static override args = { volume: volumeArg }
  static override flags = {
    force: Flags.boolean({ char: 'f', summary: 'Also when stopped containers have it; they start with an empty one' }),
    snapshots: Flags.boolean({ char: 's', summary: 'With its snapshots' }),
  }
  static override examples = ['tslxc volume destroy web-data']

  async run(): Promise<{ readonly name: string }> {
    const { args, flags, context } = await this.parse(VolumeDestroy)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('destroy', `volume '${args.volume}'`)
    const { destroyDataVolume } = await import('../../container/volume/data-volume-change.ts')
    await destroyDataVolume(context, args.volume, { force: flags.force, snapshots: flags.snapshots })
    return { name: args.volume }
  }

  override summarize({ name }: { readonly name: string }): string {
    return `destroyed volume ${name}\n`
  }
}
