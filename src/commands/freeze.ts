import { Args, Flags } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Freeze extends NativeCommand {
  static override summary = 'Suspend all processes of containers'
  static override args = {
    name: Args.string({ description: 'Names of the containers', required: true, multiple: true, ignoreStdin: true }),
  }
  static override flags = {
    hold: Flags.boolean({ summary: "Only until standard input ends; prints 'frozen' when they stand still. Signals do not end it" }),
  }
  static override examples = ['tslxc freeze web']
}
