import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { UnmountReport } from '../container/disk/host-mount.ts'

export default class Umount extends BaseCommand<readonly UnmountReport[]> {
  static override summary = 'Take away what `tslxc mount` has mounted'
  static override description = 'When it is in use, it is said by whom. A directory that was made for it is removed.'
  static override args = {
    what: Args.string({
      description: 'Name of the container, for all of its mounts, or the path of one',
      required: true,
      ignoreStdin: true,
    }),
  }
  static override flags = {
    lazy: Flags.boolean({ summary: 'Out of sight now, and gone when nobody uses it any more' }),
  }
  static override examples = ['tslxc umount web', 'tslxc umount /mnt']

  async run(): Promise<readonly UnmountReport[]> {
    const { args, flags, context } = await this.parse(Umount)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('unmount', `'${args.what}'`)
    const { unmountFromHost } = await import('../container/disk/host-mount.ts')
    return await unmountFromHost(context, args.what, { lazy: flags.lazy })
  }

  override summarize(unmounted: readonly UnmountReport[]): string {
    return unmounted.map(({ name, path }) => `unmounted ${path} (${name})\n`).join('')
  }
}
