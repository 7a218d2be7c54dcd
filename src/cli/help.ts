/** `--help` and `--usage` of any verb; the build renders the native verbs' text with the same functions. */
import type { FlagInput } from '@oclif/core/parser'
import type { CommandClass } from './command-spec.ts'
import { allFlags, isNamed } from './command-spec.ts'

const WIDTH = 79
const TEXT_COLUMN = 32

export interface OptionLine {
  /** `-e, --elevated-privileges[=PRIVS]` */
  readonly label: string
  readonly text: string
  readonly common: boolean
  /** A heading of its own, e.g. for a template's options. */
  readonly group?: string
}

const ASKING: readonly OptionLine[] = [
  { label: '-h, --help', text: 'Print this help', common: true },
  { label: '    --usage', text: 'Print a short synopsis', common: true },
  { label: '    --version', text: 'Print the version', common: true },
]

/** The lines of `--help`, in order: the verb's own options first. */
export function optionLines(command: CommandClass, extra: FlagInput = {}): OptionLine[] {
  const lines = Object.entries(allFlags(command, extra))
    .filter(([, flag]) => flag.hidden !== true)
    .map(([name, flag]) => ({
      label: optionLabel(name, flag),
      text: flag.summary ?? flag.description ?? '',
      common: flag.helpGroup === 'COMMON',
      ...(flag.helpGroup === undefined || flag.helpGroup === 'COMMON' ? {} : { group: flag.helpGroup }),
    }))
  const name = { label: '-n, --name=NAME', text: 'Name of the container, instead of the first word', common: true }
  const own = lines.filter(({ common }) => !common)
  return [...own, ...(isNamed(command) ? [name] : []), ...lines.filter(({ common }) => common), ...ASKING]
}

function optionLabel(name: string, flag: FlagInput[string]): string {
  const short = flag.char === undefined ? '    ' : `-${flag.char}, `
  if (flag.type === 'boolean') return `${short}--${name}`
  const value = typeof flag.helpValue === 'string' ? flag.helpValue : 'VALUE'
  return (flag as { whenBare?: string }).whenBare === undefined ? `${short}--${name}=${value}` : `${short}--${name}[=${value}]`
}

/** `tslxc attach [OPTION]... NAME [--] [COMMAND...]` */
export function synopsis(command: CommandClass, id: string): string {
  const words = ['tslxc', ...id.split(':').filter((word) => word !== ''), '[OPTION]...']
  for (const [name, arg] of Object.entries(command.args ?? {})) {
    const label = `${name.toUpperCase()}${(arg as { multiple?: boolean }).multiple ? '...' : ''}`
    words.push(arg.required ? label : `[${label}]`)
  }
  if (command.rest !== undefined)
    words.push(command.rest.after === 'name' ? `[[--] ${command.rest.label}...]` : `[-- ${command.rest.label}...]`)
  return words.join(' ')
}

export function renderHelp(command: CommandClass, id: string, extra: FlagInput = {}): string {
  const lines = [`Usage: ${synopsis(command, id)}`, command.summary ?? '', '']
  if (command.description) lines.push(...command.description.split('\n').flatMap((line) => wrap(line, WIDTH)), '')
  const words = Object.entries(command.args ?? {}).map(([name, arg]) => [name.toUpperCase(), arg.description ?? ''] as const)
  if (command.rest !== undefined) words.push([command.rest.label, command.rest.description])
  if (words.length > 0) lines.push('Arguments:', ...words.flatMap(([label, text]) => entry(label, text)), '')
  for (const [heading, options] of grouped(optionLines(command, extra))) {
    lines.push(`${heading}:`, ...options.flatMap(({ label, text }) => entry(label, text)), '')
  }
  if (command.examples?.length) lines.push('Examples:', ...command.examples.map((example) => `  ${exampleText(example)}`), '')
  return lines.join('\n')
}

function grouped(options: readonly OptionLine[]): Map<string, OptionLine[]> {
  const groups = new Map<string, OptionLine[]>()
  for (const option of options) {
    const heading = option.group ?? (option.common ? 'Common options' : 'Options')
    groups.set(heading, [...(groups.get(heading) ?? []), option])
  }
  return groups
}

export function exampleText(example: NonNullable<CommandClass['examples']>[number]): string {
  return typeof example === 'string' ? example : example.command
}

/** One wrapped paragraph. */
export function renderUsage(command: CommandClass, id: string): string {
  const words = optionLines(command).map(({ label }) => `[${label.trim().replace(', ', '|')}]`)
  const [head = '', ...tail] = synopsis(command, id).split(' [OPTION]...')
  return `${wrap(`Usage: ${head} ${words.join(' ')}${tail.join('')}`, WIDTH, 7).join('\n')}\n`
}

function entry(label: string, text: string): string[] {
  const wrapped = wrap(text, WIDTH - TEXT_COLUMN)
  const left = `  ${label}`
  const fits = left.length < TEXT_COLUMN - 1
  const first = fits ? left.padEnd(TEXT_COLUMN) + (wrapped[0] ?? '') : left
  return [first.trimEnd(), ...(fits ? wrapped.slice(1) : wrapped).map((line) => ' '.repeat(TEXT_COLUMN) + line)]
}

function wrap(text: string, width: number, indent = 0): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ' '.repeat(indent) + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
