import { Args, Flags, nameArg } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Wait extends NativeCommand {
  static override summary = 'Wait until a container is in a state'
  static override description =
    'States: STOPPED, STARTING, RUNNING, STOPPING, ABORTING, FREEZING, FROZEN, THAWED. Exits with 1 when the time is over.'
  static override args = {
    name: nameArg,
    state: Args.string({ description: 'State, or several joined by |, instead of -s', ignoreStdin: true }),
  }
  static override flags = {
    state: Flags.string({ char: 's', helpValue: 'STATE[|STATE...]', summary: 'State to wait for' }),
    timeout: Flags.string({ char: 't', helpValue: 'SECONDS', summary: 'How long to wait: -1 for ever (the default), 0 only to look' }),
  }
  static override examples = ['tslxc wait web -s RUNNING -t 10', "tslxc wait web -s 'STOPPED|FROZEN'"]
}
