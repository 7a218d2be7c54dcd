import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { DestroyManyReport } from '../container/destroy/destroy-many.ts'

export default class Destroy extends BaseCommand<DestroyManyReport> {
  static override summary = 'Remove containers with their root file systems'
  static override description =
    'Gives their addresses and ids back too. What is bound into them from the host stays. Refuses while one runs, unless -f is ' +
    'given, and while it has snapshots or its store keeps clones on its blocks, unless -s or --flatten is given. ' +
    'Large directories are deleted behind the command. Run again after a failure, it goes on where it was left.'
  static override args = {
    name: Args.string({
      description: "Names of the containers, or patterns: 'web*'",
      required: true,
      multiple: true,
      ignoreStdin: true,
    }),
  }
  static override flags = {
    force: Flags.boolean({ char: 'f', summary: 'Kill it first when it runs' }),
    snapshots: Flags.boolean({ char: 's', summary: 'With its snapshots, and with the clones that depend on it' }),
    flatten: Flags.boolean({ summary: 'Make the clones that depend on it independent first' }),
  }
  static override examples = ['tslxc destroy web', 'tslxc destroy -f web', "tslxc destroy -s 'test-*'"]

  async run(): Promise<DestroyManyReport> {
    const { args, flags, context } = await this.parse(Destroy)
    const words = [args.name].flat()
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('destroy', words.map((word) => `'${word}'`).join(', '))
    const { destroyContainers } = await import('../container/destroy/destroy-many.ts')
    const { force = false, snapshots = false, flatten = false } = flags
    const report = await destroyContainers(context, words, { force, snapshots, flatten })
    for (const { warnings } of report.destroyed) for (const warning of warnings) context.note(warning)
    return report
  }

  // LXC's own words.
  override summarize({ destroyed }: DestroyManyReport): string {
    return destroyed.map(({ name }) => `Destroyed container ${name}\n`).join('')
  }
}
