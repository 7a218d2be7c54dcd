/** What a command class says about its argv, in the form that getopt, help, man pages and completion read. */
import type { Command } from '@oclif/core/command'
import type { FlagInput } from '@oclif/core/parser'
import type { RestArguments } from './flags.ts'
import type { GetoptSpec, OptionSpec } from './getopt.ts'

/** A class of src/commands: oclif's statics, and ours. */
export type CommandClass = typeof Command & { readonly rest?: RestArguments | undefined; readonly native?: boolean }

/** id (`config:get`) to the module that has the class as its default export. */
export type CommandLoaders = Readonly<Record<string, () => Promise<{ readonly default: unknown }>>>

export function allFlags(command: CommandClass, extra: FlagInput = {}): FlagInput {
  return { ...command.baseFlags, ...command.flags, ...extra }
}

export function isNamed(command: CommandClass): boolean {
  return command.args !== undefined && 'name' in command.args
}

export function getoptSpec(command: CommandClass, extra: FlagInput = {}): GetoptSpec {
  const options = Object.entries(allFlags(command, extra)).map(([name, flag]): OptionSpec => {
    const { whenBare } = flag as { whenBare?: string }
    return {
      name,
      ...(flag.char === undefined ? {} : { char: flag.char }),
      value: flag.type === 'boolean' ? 'none' : whenBare === undefined ? 'required' : 'optional',
      ...(whenBare === undefined ? {} : { whenBare }),
      multiple: flag.type === 'option' && flag.multiple === true,
    }
  })
  return { options, named: isNamed(command), rest: command.rest?.after ?? 'none' }
}
