import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { ImportReport } from '../container/move/import.ts'

export default class Import extends BaseCommand<ImportReport> {
  static override summary = 'Make a container of an archive'
  static override description =
    'Takes what `tslxc export` has written, on any storage, whole or not at all. The container gets an id range of this host; hardware ' +
    'and fixed addresses stay where nobody has them here. Where the container it was exported from is still here, this is a copy with a ' +
    'machine-id of its own. Members that lead outside, a wrong checksum, and what does not fit on the disk are refused. Its configuration ' +
    'is taken as yours: look at archives of others before you start what they hold.'
  static override args = {
    file: Args.string({ description: 'The archive; - is standard input', required: true, ignoreStdin: true }),
    newname: Args.string({ description: 'Name of the container (that in the archive)', ignoreStdin: true }),
  }
  static override flags = {
    bdev: Flags.string({
      char: 'B',
      helpValue: 'STORAGE',
      summary: 'Backing storage: dir, overlay, btrfs, zfs, lvm, loop; a list to try in turn; or best (dir)',
    }),
    lvname: Flags.string({ helpValue: 'NAME', summary: "lvm: name of the logical volume (the container's)" }),
    vgname: Flags.string({ helpValue: 'GROUP', summary: 'lvm: volume group (lxc)' }),
    thinpool: Flags.string({ helpValue: 'POOL', summary: 'lvm: thin pool (lxc, where it is there)' }),
    fstype: Flags.string({ helpValue: 'TYPE', summary: 'lvm, loop: ext4, xfs or btrfs (ext4)' }),
    fssize: Flags.string({ helpValue: 'N[bBkKmMgGtT]', summary: 'lvm, loop: size of the device (1G, or what it needs)' }),
    zfsroot: Flags.string({ helpValue: 'DATASET', summary: 'zfs: dataset below which it is made (lxc)' }),
  }
  static override examples = [
    'tslxc import web.tar.zst',
    'tslxc import web.tar.zst web2 -B btrfs',
    'ssh host tslxc export web - | tslxc import -',
  ]

  async run(): Promise<ImportReport> {
    const { args, flags, context } = await this.parse(Import)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('import', `'${args.file}'`)
    const { requireStream } = await import('../cli/streams.ts')
    if (args.file === '-') requireStream('read', false)
    const { importArchive } = await import('../container/move/import.ts')
    const { bdev, lvname, vgname, thinpool, fstype, fssize, zfsroot } = flags
    const report = await importArchive(context, {
      from: args.file === '-' ? 0 : args.file,
      name: args.newname,
      storage: { bdev, lvname, vgname, thinpool, fstype, fssize, zfsroot },
    })
    for (const warning of report.warnings) context.note(warning)
    return report
  }

  override summarize({ name, source, storage, snapshots, sameMachine }: ImportReport): string {
    const kept = snapshots.length === 0 ? '' : `, with ${snapshots.length} snapshot${snapshots.length === 1 ? '' : 's'}`
    const copy = sameMachine ? '' : `; '${source}' is still here, so it is a copy of it`
    return `imported '${name}'${storage === undefined ? '' : ` on ${storage}`}${kept}${copy}\n`
  }
}
