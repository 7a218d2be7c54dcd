/** argv to typed flags and arguments: getopt reads, oclif converts and validates. */
import type { FlagInput, Input } from '@oclif/core/parser'
import { parse } from '@oclif/core/parser'
import { TslxcError, UsageError } from '../lib/errors.ts'
import type { CommandClass } from './command-spec.ts'
import { allFlags, getoptSpec } from './command-spec.ts'
import type { ParsedArgv } from './getopt.ts'
import { getopt } from './getopt.ts'

// oclif takes a value that looks like one of the command's flags for that flag; this mark is taken off again before conversion.
const MARK = '\u0000'

export interface RawOutput {
  readonly flags: Record<string, unknown>
  readonly args: Record<string, unknown>
}

/** The value of one option in an argv whose other options need not be known yet. */
export function peekOption(command: CommandClass, argv: readonly string[], name: string): string | undefined {
  const { options } = getopt(argv, { ...getoptSpec(command), lenient: true })
  return options.find((option) => option.name === name)?.value
}

/** @throws UsageError */
export async function convert(command: CommandClass, parsed: ParsedArgv, extra: FlagInput): Promise<RawOutput> {
  checkPositionals(command, parsed.positionals)
  checkRequired(command, parsed)
  const words = parsed.options.flatMap(({ name, value }) => (value === undefined ? [`--${name}`] : [`--${name}=${mark(value)}`]))
  const input = { flags: unmarking(allFlags(command, extra)), args: command.args ?? {}, strict: command.strict, '--': true }
  try {
    const output = await parse([...words, '--', ...parsed.positionals], input as unknown as Input<never, never, never>)
    return output as RawOutput
  } catch (error) {
    throw asUsageError(error)
  }
}

function mark(value: string): string {
  return value.startsWith('-') ? MARK + value : value
}

function unmarking(flags: FlagInput): FlagInput {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => {
      if (flag.type === 'boolean') return [name, flag]
      const convertValue = flag.parse as (input: string, ...more: unknown[]) => Promise<unknown>
      const unmarked = (input: string, ...more: unknown[]) => convertValue(input.startsWith(MARK) ? input.slice(1) : input, ...more)
      return [name, { ...flag, multipleNonGreedy: true, parse: unmarked }]
    }),
  ) as FlagInput
}

function checkPositionals(command: CommandClass, words: readonly string[]): void {
  const args = Object.entries(command.args ?? {})
  const missing = args.slice(words.length).find(([, arg]) => arg.required)
  if (missing?.[0] === 'name') throw new UsageError('no container name was given')
  if (missing !== undefined) throw new UsageError(`missing ${missing[0].toUpperCase()}`)
  const variadic = args.some(([, arg]) => (arg as { multiple?: boolean }).multiple)
  if (!variadic && words.length > args.length) throw new UsageError(`unexpected word '${words[args.length]}'`)
}

function checkRequired(command: CommandClass, { options }: ParsedArgv): void {
  const missing = Object.entries(command.flags ?? {}).find(
    ([name, flag]) => flag.required && !options.some((option) => option.name === name),
  )
  if (missing !== undefined) throw new UsageError(`option '--${missing[0]}' is missing`)
}

/** oclif's parse errors carry advice in its own words below the first line. */
function asUsageError(error: unknown): unknown {
  if (error instanceof TslxcError || !(error instanceof Error)) return error
  const [first = '', second = ''] = error.message.split('\n').map((line) => line.trim())
  const text =
    first.endsWith(':') || first.startsWith('Parsing --') ? `${first.replace(/^Parsing /, '').replace(/:$/, '')}: ${second}` : first
  return new UsageError(text.charAt(0).toLowerCase() + text.slice(1), { cause: error })
}
