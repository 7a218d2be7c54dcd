import { BaseCommand } from '../../cli/base-command.ts'
import { renderTable } from '../../cli/output.ts'
import type { DataVolumeReport } from '../../container/volume/data-volume-change.ts'
import { printSize } from '../../lib/units.ts'

export default class VolumeLs extends BaseCommand<readonly DataVolumeReport[]> {
  static override summary = 'List data volumes, and who has them'
  static override examples = ['tslxc volume ls', 'tslxc volume ls --json']

  async run(): Promise<readonly DataVolumeReport[]> {
    const { context } = await this.parse(VolumeLs)
    const { listDataVolumes } = await import('../../container/volume/data-volume.ts')
    const { describeDataVolume } = await import('../../container/volume/data-volume-change.ts')
    const found = await listDataVolumes(context.paths)
    return await Promise.all(found.map((one) => describeDataVolume(context.paths, one, false)))
  }

  override async print(volumes: readonly DataVolumeReport[]): Promise<string> {
    if (volumes.length === 0) return ''
    const rows = volumes.map(({ name, volume, size, keep, users, snapshots }) => [
      name,
      volume.driver,
      size === undefined ? '-' : printSize(size),
      keep ? 'yes' : 'no',
      String(snapshots.length),
      users.length === 0 ? '-' : users.map((user) => user.name).join(','),
    ])
    return await renderTable(['NAME', 'STORAGE', 'SIZE', 'KEEP', 'SNAPSHOTS', 'CONTAINERS'], rows)
  }
}
