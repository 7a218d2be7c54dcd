import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { ReceiveReport } from '../container/move/receive.ts'

export default class Receive extends BaseCommand<ReceiveReport> {
  static override summary = 'Make a container of a stream, or bring one up to date'
  static override description =
    'Reads what `tslxc send` writes, or an archive, from standard input; a stream that is cut off leaves nothing. A stream of ' +
    'btrfs or ZFS needs that storage here. One that builds on a snapshot (--from) brings a stopped container up to date that was received ' +
    'before: what it was since then is replaced, its configuration stays. Take such streams only from hosts that you trust.'
  static override args = {
    name: Args.string({ description: 'Name of the container (that where it was sent)', ignoreStdin: true }),
  }
  static override flags = {
    bdev: Flags.string({ char: 'B', helpValue: 'STORAGE', summary: 'Backing storage (that of the stream; of an archive the default)' }),
    zfsroot: Flags.string({ helpValue: 'DATASET', summary: 'zfs: dataset below which it is made (lxc)' }),
  }
  static override examples = [
    'ssh host tslxc send web | tslxc receive',
    'ssh host tslxc send web --from mon --snapshot tue | tslxc receive web',
  ]

  async run(): Promise<ReceiveReport> {
    const { args, flags, context } = await this.parse(Receive)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('receive', args.name === undefined ? 'a container' : `'${args.name}'`)
    const { requireStream } = await import('../cli/streams.ts')
    requireStream('read', false)
    const { receiveContainer } = await import('../container/move/receive.ts')
    const { bdev, zfsroot } = flags
    const report = await receiveContainer(context, process.stdin, { name: args.name, storage: { bdev, zfsroot } })
    for (const warning of report.warnings) context.note(warning)
    return report
  }

  override summarize({ name, storage, snapshot, updated }: ReceiveReport): string {
    const kept = snapshot === undefined ? '' : `, with snapshot '${snapshot}'`
    return `${updated ? 'updated' : 'received'} '${name}'${storage === undefined ? '' : ` on ${storage}`}${kept}\n`
  }
}
