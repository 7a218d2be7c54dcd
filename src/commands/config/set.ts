import { BaseCommand } from '../../cli/base-command.ts'
import { Args, nameArg } from '../../cli/flags.ts'

export default class ConfigSet extends BaseCommand<{ readonly changed: boolean; readonly note?: string }> {
  static override summary = "Set one key of a container's configuration"
  static override description =
    'All of the configuration is checked first; what is wrong is not written. Comments and order stay. A value is YAML: a list is written [a, b].'
  static override args = {
    name: nameArg,
    key: Args.string({ description: 'Dotted key, such as limits.memory or net.0.link', required: true, ignoreStdin: true }),
    value: Args.string({ description: 'The value', required: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc config set web limits.memory 2G', "tslxc config set web cap.drop '[sys_time, mknod]'"]

  async run(): Promise<{ readonly changed: boolean; readonly note?: string }> {
    const { args, context } = await this.parse(ConfigSet)
    const { changeConfig, laterNote } = await import('../../compile/save.ts')
    const { setKey } = await import('../../config/edit.ts')
    const { configChange } = await import('../../container/change-config.ts')
    const { paths } = context
    const key = args.key.replace(/^lxc\./, '')
    const change = (text: string, file: string): string => setKey(file, text, key, args.value)
    const request = configChange(context, args.name)
    const changed = await changeConfig(paths, { name: args.name, ...request, change })
    const note = changed && !request.hasLimited() ? laterNote(paths, args.name) : undefined
    return { changed, ...(note === undefined ? {} : { note }) }
  }

  override summarize({ note }: { readonly note?: string }): string {
    return note === undefined ? '' : `${note}\n`
  }
}
