import { Args } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Unfreeze extends NativeCommand {
  static override summary = 'Let frozen containers go on'
  static override args = {
    name: Args.string({ description: 'Names of the containers', required: true, multiple: true, ignoreStdin: true }),
  }
  static override examples = ['tslxc unfreeze web']
}
