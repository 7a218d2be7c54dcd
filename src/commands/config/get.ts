import { BaseCommand } from '../../cli/base-command.ts'
import { Args, nameArg } from '../../cli/flags.ts'
import { configFile } from '../../platform/paths.ts'

export default class ConfigGet extends BaseCommand<unknown> {
  static override summary = "Print one key of a container's configuration"
  static override description =
    'The value as config.yaml says it, else as the files it includes do. A list is printed item by item. Exit 1 when no file says it.'
  static override args = {
    name: nameArg,
    key: Args.string({ description: 'Dotted key, such as limits.memory or net.0.link', required: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc config get web limits.memory', 'tslxc config get web net.0.ipv4.address']

  async run(): Promise<unknown> {
    const { args, context } = await this.parse(ConfigGet)
    const { existsSync } = await import('node:fs')
    const file = configFile(context.paths, args.name)
    if (!existsSync(file)) throw (await import('../../compile/save.ts')).noContainer(args.name)
    const { getKey } = await import('../../config/get.ts')
    return getKey(file, args.key, context.paths.confDirs)
  }

  override async print(value: unknown): Promise<string> {
    if (typeof value !== 'object' || value === null) return `${value}\n`
    if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.map((item) => `${item}\n`).join('')
    const { stringify } = await import('yaml')
    return stringify(value, { lineWidth: 0 })
  }
}
