import { Args, Flags } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Stop extends NativeCommand {
  static override summary = 'Stop containers'
  static override description =
    'Sends the halt signal, waits, and kills what is left. Exits with 2 when a container exists and does not run. Works on frozen containers and without a monitor.'
  static override args = {
    name: Args.string({ description: 'Names of the containers', required: true, multiple: true, ignoreStdin: true }),
  }
  static override flags = {
    reboot: Flags.boolean({ char: 'r', summary: 'Reboot instead' }),
    nowait: Flags.boolean({ char: 'W', summary: 'Do not wait for the end' }),
    timeout: Flags.string({ char: 't', helpValue: 'SECONDS', summary: 'How long to wait before killing (60)' }),
    kill: Flags.boolean({ char: 'k', summary: 'Kill at once; what was not saved inside is lost' }),
    nokill: Flags.boolean({ summary: 'Never kill: wait until it has stopped' }),
    nolock: Flags.boolean({ summary: 'With -k: do not wait for other commands' }),
  }
  static override examples = ['tslxc stop web', 'tslxc stop -t 10 web db', 'tslxc stop -k web']
}
