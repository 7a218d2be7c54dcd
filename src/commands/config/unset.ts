import { BaseCommand } from '../../cli/base-command.ts'
import { Args, nameArg } from '../../cli/flags.ts'
import { NotFoundError } from '../../lib/errors.ts'

export default class ConfigUnset extends BaseCommand<{ readonly changed: boolean; readonly note?: string }> {
  static override summary = "Remove one key from a container's configuration"
  static override description = 'What an included file says about it holds again. An item of a list is removed by its number.'
  static override args = {
    name: nameArg,
    key: Args.string({ description: 'Dotted key, such as limits.memory or net.1', required: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc config unset web limits.memory']

  async run(): Promise<{ readonly changed: boolean; readonly note?: string }> {
    const { args, context } = await this.parse(ConfigUnset)
    const { changeConfig, laterNote } = await import('../../compile/save.ts')
    const { unsetKey } = await import('../../config/edit.ts')
    const { configChange } = await import('../../container/change-config.ts')
    const { paths } = context
    const key = args.key.replace(/^lxc\./, '')
    const change = (text: string, file: string): string => {
      const left = unsetKey(file, text, key)
      if (left === undefined) throw new NotFoundError(`'${key}' is not set in '${file}'`)
      return left
    }
    const request = configChange(context, args.name)
    const changed = await changeConfig(paths, { name: args.name, ...request, change })
    const note = request.hasLimited() ? undefined : laterNote(paths, args.name)
    return { changed, ...(note === undefined ? {} : { note }) }
  }

  override summarize({ note }: { readonly note?: string }): string {
    return note === undefined ? '' : `${note}\n`
  }
}
