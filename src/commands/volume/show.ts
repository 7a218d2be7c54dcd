import { BaseCommand } from '../../cli/base-command.ts'
import { volumeArg } from '../../cli/flags.ts'
import type { DataVolumeReport } from '../../container/volume/data-volume-change.ts'
import { printSize, printSizeRounded } from '../../lib/units.ts'

export default class VolumeShow extends BaseCommand<DataVolumeReport> {
  static override summary = 'Show a data volume: where it is, how full, who has it'
  static override args = { volume: volumeArg }
  static override examples = ['tslxc volume show web-data']

  async run(): Promise<DataVolumeReport> {
    const { args, context } = await this.parse(VolumeShow)
    const { requireRoot } = await import('../../platform/host.ts')
    requireRoot('show', `volume '${args.volume}'`)
    const { findDataVolume } = await import('../../container/volume/data-volume.ts')
    const { describeDataVolume } = await import('../../container/volume/data-volume-change.ts')
    return await describeDataVolume(context.paths, await findDataVolume(context.paths, args.volume, 'show'), true)
  }

  override print({ name, volume, created, size, keep, users, snapshots, usage }: DataVolumeReport): string {
    const rows: [string, string][] = [
      ['Name:', name],
      ['Storage:', `${volume.driver}:${volume.path}`],
      ['Created:', created],
      ['Size:', size === undefined ? 'no limit' : printSize(size)],
      ...(usage === undefined ? [] : [['Used:', printSizeRounded(usage.usedBytes)] as [string, string]]),
      ['Keep:', keep ? 'yes' : 'no'],
      ...users.map((user): [string, string] => ['Container:', [user.name, user.target, user.isRunning ? 'running' : ''].join(' ').trim()]),
      ...snapshots.map((snapshot): [string, string] => ['Snapshot:', snapshot]),
    ]
    return rows.map(([key, value]) => `${key.padEnd(16)}${value}\n`).join('')
  }
}
