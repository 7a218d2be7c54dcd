import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { DestroyReport } from '../container/destroy.ts'

export default class Destroy extends BaseCommand<DestroyReport> {
  static override summary = 'Remove a container with its root file system'
  static override description =
    'Gives its addresses and ids back too. What is bound into it from the host stays. Refuses while it runs, unless -f is given. Run again after a failure, it goes on where it was left.'
  static override args = { name: Args.string({ description: 'Name of the container', required: true, ignoreStdin: true }) }
  static override flags = {
    force: Flags.boolean({ char: 'f', summary: 'Kill it first when it runs' }),
    snapshots: Flags.boolean({ char: 's', summary: 'With its snapshots' }),
  }
  static override examples = ['tslxc destroy web', 'tslxc destroy -f web']

  async run(): Promise<DestroyReport> {
    const { args, flags, context } = await this.parse(Destroy)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('destroy', `'${args.name}'`)
    const { destroyContainer } = await import('../container/destroy.ts')
    const report = await destroyContainer(context, args.name, { force: flags.force, snapshots: flags.snapshots })
    for (const warning of report.warnings) context.note(warning)
    return report
  }

  // LXC's own words.
  override summarize({ name }: DestroyReport): string {
    return `Destroyed container ${name}\n`
  }
}
