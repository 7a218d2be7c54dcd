import { Args, Flags, withOptionalValue } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Ls extends NativeCommand {
  static override summary = 'List containers'
  static override description =
    'Columns of the table: NAME, STATE, PID, RAM, SWAP, AUTOSTART, GROUPS, INTERFACE, IPV4, IPV6, UNPRIVILEGED. All filters must hold.'
  static override args = { pattern: Args.string({ description: 'Extended regular expression for the names', ignoreStdin: true }) }
  static override flags = {
    line: Flags.boolean({ char: '1', summary: 'One name a line' } as never),
    fancy: Flags.boolean({ char: 'f', summary: 'A table' }),
    'fancy-format': Flags.string({ char: 'F', helpValue: 'COLUMNS', summary: 'With -f: these columns, joined by commas' }),
    active: Flags.boolean({ summary: 'Only those that are not stopped' }),
    running: Flags.boolean({ summary: 'Only running ones' }),
    frozen: Flags.boolean({ summary: 'Only frozen ones' }),
    stopped: Flags.boolean({ summary: 'Only stopped ones' }),
    defined: Flags.boolean({ summary: 'Only those with a configuration' }),
    nesting: withOptionalValue(Flags.string({ helpValue: 'LEVELS', summary: 'Containers in containers too, LEVELS deep (5)' }), '5'),
    groups: Flags.string({
      char: 'g',
      helpValue: 'GROUP,...',
      summary: 'Only those in all of these groups',
      multiple: true,
      multipleNonGreedy: true,
    }),
    filter: Flags.string({ helpValue: 'REGEX', summary: 'Extended regular expression for the names' }),
  }
  static override examples = ['tslxc ls', 'tslxc ls -f', 'tslxc ls --running -f -F NAME,IPV4,RAM']
}
