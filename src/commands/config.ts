import { BaseCommand } from '../cli/base-command.ts'
import { Args, commonFlagsLongPriority, Flags } from '../cli/flags.ts'
import { UsageError } from '../lib/errors.ts'

/** LXC's list. */
const KEYS = [
  'lxc.default_config',
  'lxc.lxcpath',
  'lxc.bdev.lvm.vg',
  'lxc.bdev.lvm.thin_pool',
  'lxc.bdev.zfs.root',
  'lxc.cgroup.use',
  'lxc.cgroup.pattern',
] as const

export default class Config extends BaseCommand<readonly string[] | { readonly key: string; readonly value: string | null }> {
  static override summary = "Print a system setting, or work on a container's configuration"
  static override description =
    "'config KEY' prints a setting of tslxc.yaml, as lxc-config does. 'config show|get|set|unset|edit|check NAME' work on the config.yaml of a container."
  static override baseFlags = commonFlagsLongPriority
  static override args = { key: Args.string({ description: 'Key of a system setting, such as lxc.lxcpath', ignoreStdin: true }) }
  static override flags = { list: Flags.boolean({ char: 'l', summary: 'List the keys' }) }
  static override examples = ['tslxc config lxc.lxcpath', 'tslxc config -l', 'tslxc config get web limits.memory']

  async run(): Promise<readonly string[] | { readonly key: string; readonly value: string | null }> {
    const { args, flags, context } = await this.parse(Config)
    if (flags.list) return KEYS
    if (args.key === undefined) throw new UsageError('a key is expected', { hint: "run 'tslxc config -l' for the keys" })
    const key = args.key.startsWith('lxc.') ? args.key : `lxc.${args.key}`
    if (!KEYS.some((known) => known === key)) {
      // As lxc-config does: on standard output.
      this.exitCode = 1
      return { key: args.key, value: null }
    }
    const { readSettings } = await import('../compile/settings.ts')
    return { key, value: readSettings(context.paths).values[key] ?? '' }
  }

  override print(result: readonly string[] | { readonly key: string; readonly value: string | null }): string {
    if (!('key' in result)) return result.map((key) => `${key}\n`).join('')
    if (result.value === null) return `Unknown configuration item: ${result.key}\n`
    return result.value === '' ? `${result.key} is not set.\n` : `${result.value}\n`
  }
}
