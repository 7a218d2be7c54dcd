import { BaseCommand } from '../../cli/base-command.ts'
import { nameArg } from '../../cli/flags.ts'
import type { EditOutcome } from '../../compile/edit-session.ts'
import { UsageError } from '../../lib/errors.ts'

export default class ConfigEdit extends BaseCommand<EditOutcome> {
  static override summary = "Edit a container's configuration"
  static override description =
    'Opens config.yaml in $VISUAL, $EDITOR or vi. A text that is not understood is not saved: line and column are shown and the editor opens again with it.'
  static override args = { name: nameArg }
  static override examples = ['tslxc config edit web', 'EDITOR=nano tslxc config edit web']

  async run(): Promise<EditOutcome> {
    const { args, context } = await this.parse(ConfigEdit)
    if (context.environment.editor === 'vi' && !process.stdin.isTTY) throw noTerminal(args.name)
    const { editConfig } = await import('../../compile/edit-session.ts')
    const { configChange } = await import('../../container/change-config.ts')
    const { renderError } = await import('../../cli/errors.ts')
    return editConfig(context.paths, {
      name: args.name,
      ...configChange(context, args.name),
      editor: context.environment.editor,
      goOnAfter: (error) => {
        context.note(renderError(error, 'config edit', context.logLevel).trimEnd())
        return wantsToGoOn()
      },
    })
  }

  override summarize({ changed, note }: EditOutcome): string {
    return changed ? (note === undefined ? '' : `${note}\n`) : 'nothing changed\n'
  }
}

const noTerminal = (name: string): UsageError =>
  new UsageError(`cannot edit '${name}': there is no terminal`, {
    hint: `set EDITOR to a command that needs none, or use 'tslxc config set ${name} KEY VALUE'`,
  })

async function wantsToGoOn(): Promise<boolean> {
  if (!process.stdin.isTTY) return true
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await lines.question('Enter opens the editor again, q gives up: ')
    return !answer.trim().toLowerCase().startsWith('q')
  } finally {
    lines.close()
  }
}
