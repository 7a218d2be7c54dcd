/** Every example of `--help` and the man pages is a command line that the parser takes. test/system/examples.test.ts runs them. */
import { parse } from 'shell-quote'
import { describe, expect, it } from 'vitest'
import { getoptSpec } from '../../../src/cli/command-spec.ts'
import { getopt } from '../../../src/cli/getopt.ts'
import { exampleText } from '../../../src/cli/help.ts'
import { findCommand } from '../../../src/cli/main.ts'
import { convert } from '../../../src/cli/parse.ts'
import { flagsOfTemplate } from '../../../src/cli/template-flags.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import { commandIds, loadCommand, loaders } from '../../helpers/commands.ts'
import { checkout } from '../../helpers/program.ts'

// Of a pipe, each of our commands, whichever host it runs on.
const examples = (await Promise.all(commandIds.map(loadCommand)))
  .flatMap((command) => (command.examples ?? []).map(exampleText))
  .flatMap((example) => example.split(' | ').map((command) => command.replace(/^ssh \S+ /, '')))

function wordsOf(example: string): string[] {
  // Variables in front, as in EDITOR=nano tslxc ...
  const words = parse(example.replace(/^([A-Z]+=\S+ )+/, '')).map((entry) => (typeof entry === 'string' ? entry : ''))
  expect(words[0]).toBe('tslxc')
  return words.slice(1)
}

async function templateFlags(id: string, words: readonly string[]) {
  const template = id === 'create' ? words[words.indexOf('-t') + 1] : id === 'image:fetch' ? words[0] : undefined
  return template === undefined ? {} : await flagsOfTemplate(makePaths({ root: '/nowhere', installRoot: checkout }), template)
}

describe('examples', () => {
  it.each(examples)('%s', async (example) => {
    const words = wordsOf(example)
    const id = findCommand(words, loaders)
    expect(id).toBeDefined()
    const command = await loadCommand(id ?? '')
    const own = words.slice((id ?? '').split(':').length)
    const extra = await templateFlags(id ?? '', own)
    const read = getopt(own, getoptSpec(command, extra))
    if (read.asked === undefined) await convert(command, read, extra)
  })
})
