import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags, nameArg } from '../cli/flags.ts'
import type { MountReport } from '../container/disk/host-mount.ts'

export default class Mount extends BaseCommand<MountReport> {
  static override summary = "Show a stopped container's root file system on the host"
  static override description =
    'Whatever its storage is, its files are below PATH then, with the owners they have on the disk. Setuid and device files have no effect ' +
    'there. Meanwhile it can not be started, copied or destroyed, unless it is mounted read-only. A snapshot can be mounted while the ' +
    'container runs. `tslxc umount` takes it away; so does a reboot.'
  static override args = {
    name: nameArg,
    path: Args.string({ description: 'An empty directory, or one to be made (mnt in the directory of the container)', ignoreStdin: true }),
  }
  static override flags = {
    readonly: Flags.boolean({ char: 'r', summary: 'Only to read' }),
    snapshot: Flags.string({ helpValue: 'SNAP', summary: 'This snapshot instead, only to read' }),
  }
  static override examples = ['tslxc mount web', 'tslxc mount -r web /mnt', 'tslxc mount web /mnt --snapshot before-upgrade']

  async run(): Promise<MountReport> {
    const { args, flags, context } = await this.parse(Mount)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('mount', `'${args.name}'`)
    const { mountOnHost } = await import('../container/disk/host-mount.ts')
    return await mountOnHost(context, args.name, { path: args.path, readOnly: flags.readonly, snapshot: flags.snapshot })
  }

  override print({ path }: MountReport): string {
    return `${path}\n`
  }
}
