/** What every command class declares its flags and arguments with. */
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import { checkName } from '../lib/names.ts'

export { Args, Flags }

/** Every verb has these; `name` is -n and is there only where a class has an argument `name`. */
export const commonFlags = {
  lxcpath: Flags.string({ char: 'P', helpValue: 'PATH', summary: 'Directory of the containers', helpGroup: 'COMMON' }),
  logfile: Flags.string({ char: 'o', helpValue: 'FILE', summary: 'Append log lines to FILE', helpGroup: 'COMMON' }),
  logpriority: Flags.string({
    char: 'l',
    helpValue: 'LEVEL',
    summary: 'Least level that is logged: FATAL, ALERT, CRIT, ERROR, WARN, NOTICE, INFO, DEBUG, TRACE',
    helpGroup: 'COMMON',
  }),
  quiet: Flags.boolean({ char: 'q', summary: 'Only what was asked for on standard output, nothing else', helpGroup: 'COMMON' }),
  json: Flags.boolean({ summary: 'Print the result, or the error, as JSON', helpGroup: 'COMMON' }),
  'lock-timeout': Flags.integer({
    helpValue: 'SECONDS',
    summary: 'How long to wait for another command that works on the container (30)',
    min: 0,
    default: 30,
    helpGroup: 'COMMON',
  }),
}

/** For `config`, where LXC's `-l` lists. */
export const commonFlagsLongPriority = { ...commonFlags, logpriority: { ...commonFlags.logpriority } }
delete commonFlagsLongPriority.logpriority.char

/** The container's name; a class that has it as `name` takes -n NAME as well. */
export const nameArg = Args.string({
  description: 'Name of the container',
  required: true,
  ignoreStdin: true,
  parse: async (name) => {
    checkName(name)
    return name
  },
})

/** A managed network is named by its bridge. */
export const volumeArg = Args.string({ description: 'Name of the data volume', required: true, ignoreStdin: true })
export const bridgeArg = Args.string({ description: 'Name of the bridge', default: 'tslxcbr0', ignoreStdin: true })

/** GNU getopt's optional value: `-e`, `-ePRIVS`, `--elevated=PRIVS`; `whenBare` is what `-e` alone means. oclif knows no such flag. */
export function withOptionalValue<F extends object>(flag: F, whenBare: string): F {
  return Object.assign(flag, { whenBare })
}

export interface RestArguments {
  /** `name`: everything from the second word on, or from `--`; `dashes`: only after `--`. */
  readonly after: 'name' | 'dashes'
  readonly label: string
  readonly description: string
}
