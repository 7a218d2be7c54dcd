import { BaseCommand } from '../../cli/base-command.ts'
import { nameArg } from '../../cli/flags.ts'

export default class ConfigCheck extends BaseCommand<{ readonly name: string; readonly valid: true }> {
  static override summary = "Check a container's configuration"
  static override description = 'Reads config.yaml and all it includes. What is wrong is shown with file, line and column; exit 1.'
  static override args = { name: nameArg }
  static override examples = ['tslxc config check web']

  async run(): Promise<{ readonly name: string; readonly valid: true }> {
    const { args, context } = await this.parse(ConfigCheck)
    const { checkConfig, readConfigText } = await import('../../compile/save.ts')
    checkConfig(context.paths, args.name, readConfigText(context.paths, args.name))
    return { name: args.name, valid: true }
  }

  override summarize({ name }: { readonly name: string }): string {
    return `the configuration of '${name}' is valid\n`
  }
}
