/**
 * GNU getopt_long's reading of an argv, which oclif's parser does not speak: clustered and abbreviated options, optional values,
 * empty and repeated words, words that belong to a program to be run. The native program reads the same way
 * (native/applets/options.cpp); test/fixtures/argv.json binds the two.
 */
import { UsageError } from '../lib/errors.ts'

export interface OptionSpec {
  readonly name: string
  readonly char?: string
  readonly value: 'none' | 'required' | 'optional'
  /** What a bare option with an optional value means. */
  readonly whenBare?: string
  readonly multiple: boolean
}

export interface GetoptSpec {
  readonly options: readonly OptionSpec[]
  /** -n NAME, --name=NAME is the first positional word. */
  readonly named: boolean
  readonly rest: 'name' | 'dashes' | 'none'
  /** Unknown options are passed over: for a first look at a part of the argv. */
  readonly lenient?: boolean
}

export interface ParsedArgv {
  /** In the order of appearance; `value` is absent for options without one. */
  readonly options: readonly { readonly name: string; readonly value?: string }[]
  /** With -n, its value comes first. */
  readonly positionals: readonly string[]
  /** What comes after `--` or after NAME; undefined when there is none. */
  readonly rest: readonly string[] | undefined
  readonly asked: Asked | undefined
}

/** `help` and `usage` exit 0; `help-error` is `-?`, which exits 1 as in LXC. */
export type Asked = 'help' | 'help-error' | 'usage' | 'version'

const ASKING: readonly OptionSpec[] = (['help', 'usage', 'version'] as const).map((name) => ({ name, value: 'none', multiple: false }))
const NAME: OptionSpec = { name: 'name', char: 'n', value: 'required', multiple: false }

interface Reading {
  readonly spec: GetoptSpec
  readonly known: readonly OptionSpec[]
  readonly options: { name: string; value?: string }[]
  readonly positionals: string[]
  readonly words: string[]
  name?: string
  asked?: Asked
}

/** @throws UsageError */
export function getopt(argv: readonly string[], spec: GetoptSpec): ParsedArgv {
  const known = [...spec.options, ...(spec.named ? [NAME] : []), ...ASKING]
  const reading: Reading = { spec, known, options: [], positionals: [], words: [...argv] }
  let rest: string[] | undefined
  while (reading.words.length > 0 && reading.asked === undefined) {
    const word = reading.words.shift() ?? ''
    if (word === '--') {
      if (spec.rest === 'none') reading.positionals.push(...reading.words.splice(0))
      else rest = reading.words.splice(0)
    } else if (word.startsWith('--')) readLong(reading, word.slice(2))
    else if (word.startsWith('-') && word !== '-') readCluster(reading, word.slice(1))
    else if (startsRest(reading)) rest = [word, ...reading.words.splice(0)]
    else reading.positionals.push(word)
  }
  const positionals = reading.name === undefined ? reading.positionals : [reading.name, ...reading.positionals]
  return { options: reading.options, positionals, rest, asked: reading.asked }
}

function startsRest(reading: Reading): boolean {
  return reading.spec.rest === 'name' && (reading.name !== undefined || reading.positionals.length > 0)
}

function readLong(reading: Reading, text: string): void {
  const equals = text.indexOf('=')
  const typed = equals === -1 ? text : text.slice(0, equals)
  const option = findLong(reading, typed)
  if (option === undefined) return
  if (equals !== -1) {
    if (option.value === 'none') throw new UsageError(`option '--${option.name}' takes no value`)
    add(reading, option, text.slice(equals + 1))
  } else add(reading, option, option.value === 'required' ? nextWord(reading, `--${option.name}`) : option.whenBare)
}

function findLong(reading: Reading, typed: string): OptionSpec | undefined {
  const exact = reading.known.find((option) => option.name === typed)
  if (exact !== undefined) return exact
  const matches = reading.known.filter((option) => option.name.startsWith(typed))
  if (matches.length === 1 && typed !== '') return matches[0]
  if (reading.spec.lenient) return undefined
  if (matches.length > 1) {
    throw new UsageError(`option '--${typed}' is ambiguous: ${matches.map((option) => `--${option.name}`).join(', ')}`)
  }
  throw new UsageError(`unknown option '--${typed}'`)
}

function readCluster(reading: Reading, letters: string): void {
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] ?? ''
    const option = reading.known.find(({ char }) => char === letter)
    if (option === undefined) {
      if (letter === 'h') reading.asked = 'help'
      else if (letter === '?') reading.asked = 'help-error'
      else if (!reading.spec.lenient) throw new UsageError(`unknown option '-${letter}'`)
      return
    }
    if (option.value === 'none') {
      add(reading, option, undefined)
      continue
    }
    const attached = letters.slice(at + 1)
    if (attached !== '') add(reading, option, attached)
    else add(reading, option, option.value === 'required' ? nextWord(reading, `-${letter}`) : option.whenBare)
    return
  }
}

function nextWord(reading: Reading, typed: string): string {
  const word = reading.words.shift()
  if (word === undefined) throw new UsageError(`option '${typed}' needs a value`)
  return word
}

function add(reading: Reading, option: OptionSpec, value: string | undefined): void {
  if (option === NAME) reading.name = value ?? ''
  else if (ASKING.includes(option)) reading.asked = option.name as Asked
  else {
    const before = option.multiple ? -1 : reading.options.findIndex(({ name }) => name === option.name)
    const entry = value === undefined ? { name: option.name } : { name: option.name, value }
    // Of two -P the first counts in LXC; of any other option given twice the last.
    if (before === -1) reading.options.push(entry)
    else if (option.name !== 'lxcpath') reading.options[before] = entry
  }
}
