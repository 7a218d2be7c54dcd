import { BaseCommand } from '../../cli/base-command.ts'
import { Flags, nameArg } from '../../cli/flags.ts'
import type { OriginLine } from '../../config/show.ts'
import { configFile } from '../../platform/paths.ts'

export default class ConfigShow extends BaseCommand<Record<string, unknown> | readonly OriginLine[]> {
  static override summary = "Print a container's effective configuration"
  static override description = 'What config.yaml and all it includes say together, as YAML.'
  static override args = { name: nameArg }
  static override flags = { origin: Flags.boolean({ summary: 'One key a line, with the file and line that says it' }) }
  static override examples = ['tslxc config show web', 'tslxc config show --origin web']

  async run(): Promise<Record<string, unknown> | readonly OriginLine[]> {
    const { args, flags, context } = await this.parse(ConfigShow)
    const { readConfigText } = await import('../../compile/save.ts')
    readConfigText(context.paths, args.name)
    const { loadConfig } = await import('../../config/load.ts')
    const { effectiveTree, originLines } = await import('../../config/show.ts')
    const loaded = loadConfig(configFile(context.paths, args.name), { confDirs: context.paths.confDirs })
    return flags.origin ? originLines(loaded) : effectiveTree(loaded)
  }

  override async print(result: Record<string, unknown> | readonly OriginLine[]): Promise<string> {
    if (Array.isArray(result)) {
      const lines = result as readonly OriginLine[]
      return lines.map(({ key, value, file, line }) => `${key}: ${value}\t# ${file}${line === undefined ? '' : `:${line}`}\n`).join('')
    }
    const { stringify } = await import('yaml')
    return stringify(result, { lineWidth: 0 })
  }
}
