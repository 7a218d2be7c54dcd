import { BaseCommand } from '../cli/base-command.ts'
import { Flags, nameArg } from '../cli/flags.ts'
import type { SendReport } from '../container/move/send.ts'
import { UsageError } from '../lib/errors.ts'

const FORMATS = ['auto', 'native', 'file'] as const

export default class Send extends BaseCommand<SendReport> {
  static override summary = 'Write a container as a stream, for `tslxc receive`'
  static override description =
    'To standard output: of btrfs and ZFS their own stream, else an archive as `tslxc export` writes it. With --snapshot it is that ' +
    'snapshot, which the receiver keeps; with --from only what differs from one that the receiver has. Nothing but the stream is on standard output.'
  static override args = { name: nameArg }
  static override flags = {
    snapshot: Flags.string({ helpValue: 'SNAP', summary: 'Send this snapshot, not the container as it is now' }),
    from: Flags.string({ helpValue: 'SNAP', summary: 'Only what differs from this snapshot, which the receiver has' }),
    snapshots: Flags.boolean({ summary: 'With all snapshots, as an archive' }),
    format: Flags.string({
      helpValue: 'auto|native|file',
      summary: "native: the storage's own stream; file: an archive for any storage (auto)",
    }),
    allowrunning: Flags.boolean({
      char: 'a',
      summary: 'A running one stands still until it is written, where its storage has no snapshots',
    }),
  }
  static override examples = [
    'tslxc send web | ssh host tslxc receive',
    'tslxc send web --snapshot mon | ssh host tslxc receive',
    'tslxc send web --from mon --snapshot tue | ssh host tslxc receive',
    'tslxc send web --format file | ssh host tslxc receive -B zfs',
  ]

  async run(): Promise<SendReport> {
    const { args, flags, context } = await this.parse(Send)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('send', `'${args.name}'`)
    const format = FORMATS.find((one) => one === (flags.format ?? 'auto'))
    if (format === undefined) throw new UsageError(`cannot use --format '${flags.format}': it is not auto, native or file`)
    const { requireStream } = await import('../cli/streams.ts')
    requireStream('write', flags.json === true)
    const { sendContainer } = await import('../container/move/send.ts')
    const { from, snapshot, snapshots = false, allowrunning: allowRunning = false } = flags
    const request = { fd: 1, from, snapshot, snapshots, format, allowRunning, version: this.config.version }
    const report = await sendContainer(context, args.name, request)
    for (const note of report.notes) context.note(note)
    return report
  }
}
