/** From the words of the command line to a command class. oclif's own start-up (config, plugins) is not needed and costs 10 ms. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '@oclif/core/config'
import { NotFoundError } from '../lib/errors.ts'
import type { BaseCommand } from './base-command.ts'
import type { CommandLoaders } from './command-spec.ts'
import { readEnvironment } from './environment.ts'
import { errorRecord, renderError } from './errors.ts'
import { terminal } from './terminal.ts'

export async function main(argv: readonly string[], loaders: CommandLoaders): Promise<void> {
  const id = findCommand(argv, loaders)
  if (id === undefined) return answerWithoutCommand(argv, loaders)
  const loaded = await loaders[id]?.()
  const Class = loaded?.default as (new (argv: string[], config: Config) => BaseCommand) & { id: string }
  Class.id = id
  const config = { bin: 'tslxc', name: 'tslxc', version: packageVersion() } as Config
  await new Class(argv.slice(id.split(':').length), config).execute()
}

/** The longest id that the words begin with. */
export function findCommand(argv: readonly string[], loaders: CommandLoaders): string | undefined {
  for (let words = Math.min(3, argv.length); words > 0; words--) {
    const id = argv.slice(0, words).join(':')
    if (Object.hasOwn(loaders, id) && !argv.slice(0, words).some((word) => word.includes(':'))) return id
  }
  return undefined
}

async function answerWithoutCommand(argv: readonly string[], loaders: CommandLoaders): Promise<void> {
  const [word] = argv
  if (word === 'help' && argv.length > 1) return await main([...argv.slice(1), '--help'], loaders)
  if (word === '--version') terminal.out(`${packageVersion()}\n`)
  else if (word === undefined || ['--help', '-h', '-?', 'help', '--usage'].includes(word)) {
    const { renderOverview } = await import('./overview.ts')
    const wrong = word === undefined || word === '-?'
    terminal[wrong ? 'err' : 'out'](await renderOverview(loaders))
    process.exitCode = wrong ? 1 : 0
  } else await reportUnknown(argv, loaders)
}

async function reportUnknown(argv: readonly string[], loaders: CommandLoaders): Promise<void> {
  const [word = '', second] = argv
  const { closest, distance } = await import('fastest-levenshtein')
  const topic = Object.keys(loaders).filter((id) => id.startsWith(`${word}:`))
  const missing = topic.length > 0 && (second === undefined || second.startsWith('-'))
  const typed = topic.length > 0 ? `${word} ${second ?? ''}`.trim() : word
  const known = topic.length > 0 ? topic : firstWords(loaders)
  const begun = known.find((id) => id.startsWith(typed.replace(' ', ':')))
  const near = (begun ?? closest(typed.replace(' ', ':'), known)).replace(':', ' ')
  // Of a word of three letters one may be wrong.
  const meant =
    typed !== '' && (begun !== undefined || distance(typed, near) <= Math.min(2, word.length / 3)) ? `did you mean 'tslxc ${near}'? ` : ''
  const hint = missing
    ? `take one of: ${topic.map((id) => `tslxc ${id.replace(':', ' ')}`).join(', ')}`
    : `${meant}'tslxc --help' lists all`
  const error = new NotFoundError(missing ? `'tslxc ${word}' needs a second word` : `unknown command '${typed}'`, { hint })
  if (argv.includes('--json')) terminal.out(`${JSON.stringify({ error: errorRecord(error) })}\n`)
  else terminal.err(renderError(error, '', 'ERROR'))
  process.exitCode = 1
}

function firstWords(loaders: CommandLoaders): string[] {
  return Object.keys(loaders).map((id) => id.split(':')[0] ?? id)
}

function packageVersion(): string {
  const text = readFileSync(join(readEnvironment().installRoot, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
