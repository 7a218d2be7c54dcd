import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags, nameArg } from '../cli/flags.ts'
import type { ExportReport } from '../container/move/export.ts'
import { UsageError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'

export default class Export extends BaseCommand<ExportReport> {
  static override summary = 'Write a container to one archive'
  static override description =
    'The archive holds the configuration, the root file system with owners, attributes, capabilities, hard links, holes and ' +
    'device nodes, and a checksum; `tslxc import` makes a container of it, on any storage. It is a tar: `zstd -d | tar t` lists it. ' +
    'A running container is exported as of one moment: from a snapshot, or with -a, standing still meanwhile.'
  static override args = {
    name: nameArg,
    file: Args.string({ description: 'The archive (NAME.tar.zst); - is standard output', ignoreStdin: true }),
  }
  static override flags = {
    snapshots: Flags.boolean({ summary: 'With its snapshots, each of them whole' }),
    compress: Flags.string({ char: 'z', helpValue: 'zstd|none|LEVEL', summary: 'Compression; LEVEL is 1 to 19 (zstd, which is 3)' }),
    allowrunning: Flags.boolean({
      char: 'a',
      summary: 'A running one stands still until it is written, where its storage has no snapshots',
    }),
    force: Flags.boolean({ summary: 'Replace the file if it is there' }),
  }
  static override examples = [
    'tslxc export web',
    'tslxc export web /backup/web.tar.zst --snapshots',
    'tslxc export web - | ssh host tslxc import -',
  ]

  async run(): Promise<ExportReport> {
    const { args, flags, context } = await this.parse(Export)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('export', `'${args.name}'`)
    const { parseCompression } = await import('../container/move/archive-writer.ts')
    const compression = parseCompression(flags.compress ?? 'zstd')
    if (compression === undefined) {
      throw new UsageError(`cannot use --compress '${flags.compress}': it is not zstd, none or a level from 1 to 19`)
    }
    const file = args.file ?? `${args.name}.tar${compression.kind === 'none' ? '' : '.zst'}`
    const { requireStream } = await import('../cli/streams.ts')
    if (file === '-') requireStream('write', flags.json === true)
    const { exportContainer } = await import('../container/move/export.ts')
    const { snapshots = false, allowrunning: allowRunning = false, force = false } = flags
    const request = { to: file === '-' ? 1 : file, snapshots, compression, allowRunning, force, version: this.config.version }
    const report = await exportContainer(context, args.name, request)
    for (const note of report.notes) context.note(note)
    return report
  }

  override summarize({ name, file, archiveBytes, bytes, snapshots, frozenMs }: ExportReport): string {
    // Standard output is the archive.
    if (file === undefined) return ''
    const kept = snapshots.length === 0 ? '' : `, with ${snapshots.length} snapshot${snapshots.length === 1 ? '' : 's'}`
    const still = frozenMs === undefined ? '' : `; it stood still for ${frozenMs.toFixed(1)} ms`
    return `exported '${name}' to ${file} (${printSizeRounded(archiveBytes ?? 0)} of ${printSizeRounded(bytes)}${kept})${still}\n`
  }
}
