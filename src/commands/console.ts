import { Flags, nameArg } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Console extends NativeCommand {
  static override summary = 'Connect to a terminal of a running container'
  static override description = 'Leave it by typing the prefix, then q; the prefix twice sends it once.'
  static override args = { name: nameArg }
  static override flags = {
    tty: Flags.string({ char: 't', helpValue: 'N', summary: 'Number of the terminal, 0 for /dev/console; without it the next free one' }),
    escape: Flags.string({ char: 'e', helpValue: 'PREFIX', summary: 'Prefix key, as ^x or x (^a)' }),
  }
  static override examples = ['tslxc console web', 'tslxc console web -t 0 -e ^b']
}
