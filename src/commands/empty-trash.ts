import { setPriority } from 'node:os'
import { BaseCommand } from '../cli/base-command.ts'

const LEAST_URGENT = 19

/** What removed containers leave to be deleted: run by the program itself, behind the command that removed them. */
export default class EmptyTrash extends BaseCommand<void> {
  static override hidden = true
  static override usesSettings = false
  static override summary = 'Delete what removed containers have left'

  async run(): Promise<void> {
    const { context } = await this.parse(EmptyTrash)
    setPriority(LEAST_URGENT)
    const { emptyTrash } = await import('../container/trash.ts')
    await emptyTrash(context.paths)
  }
}
