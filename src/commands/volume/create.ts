import { BaseCommand } from '../../cli/base-command.ts'
import { Flags, volumeArg } from '../../cli/flags.ts'
import type { DataVolume } from '../../container/volume/data-volume.ts'

export default class VolumeCreate extends BaseCommand<DataVolume> {
  static override summary = 'Make an empty data volume'
  static override description =
    'Containers get it by `volumes: ["NAME:/PATH"]` in their configuration. One that stands there and is not made yet is made when a ' +
    'container starts with it. What is made here stays when the containers are destroyed.'
  static override args = { volume: volumeArg }
  static override flags = {
    bdev: Flags.string({ char: 'B', helpValue: 'TYPE', summary: 'Its storage, as for create; overlay is dir here (that of tslxc.yaml)' }),
    size: Flags.string({ helpValue: 'SIZE', summary: 'How much it may hold; of lvm and loop the size of the device' }),
  }
  static override examples = ['tslxc volume create web-data', 'tslxc volume create web-data -B btrfs --size 5G']

  async run(): Promise<DataVolume> {
    const { args, flags, context } = await this.parse(VolumeCreate)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('create', `volume '${args.volume}'`)
    const { parseVolumeSize } = await import('../../container/volume/data-volume-size.ts')
    const { createDataVolume } = await import('../../container/volume/data-volume-make.ts')
    const size = flags.size === undefined ? undefined : parseVolumeSize(flags.size)
    return await createDataVolume(context, args.volume, { driver: flags.bdev, keep: true, ...(size === undefined ? {} : { size }) })
  }

  override summarize({ name, volume }: DataVolume): string {
    return `created volume ${name} (${volume.driver}:${volume.path})\n`
  }
}
