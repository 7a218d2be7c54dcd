import { Flags, nameArg } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Info extends NativeCommand {
  static override summary = 'Show state, addresses and use of one container'
  static override description = 'Without an option all of it is shown. With -H and one of -s, -p and -i only the bare value is printed.'
  static override args = { name: nameArg }
  static override flags = {
    state: Flags.boolean({ char: 's', summary: 'The state' }),
    pid: Flags.boolean({ char: 'p', summary: "The process id of the container's init" }),
    ips: Flags.boolean({ char: 'i', summary: 'The addresses' }),
    stats: Flags.boolean({ char: 'S', summary: 'Processor, memory, disk and network use' }),
    'no-humanize': Flags.boolean({ char: 'H', summary: 'Bare numbers, without units' }),
    config: Flags.string({
      char: 'c',
      helpValue: 'KEY',
      summary: 'The value of a configuration key',
      multiple: true,
      multipleNonGreedy: true,
    }),
    rcfile: Flags.string({ helpValue: 'FILE', summary: "Configuration instead of the container's own" }),
  }
  static override examples = ['tslxc info web', 'tslxc info -sH web', 'tslxc info -c lxc.net.0.link web']
}
