import { describe, expect, it } from 'vitest'
import type { CommandClass } from '../../../src/cli/command-spec.ts'
import { getoptSpec } from '../../../src/cli/command-spec.ts'
import { getopt } from '../../../src/cli/getopt.ts'
import cases from '../../fixtures/argv.json' with { type: 'json' }

async function commandOf(verb: string): Promise<CommandClass> {
  return ((await import(`../../../src/commands/${verb}.ts`)) as { default: CommandClass }).default
}

// The native parser gives the operands that are no names, and the words after `--`, as one list.
function split(
  command: CommandClass,
  positionals: readonly string[],
  rest: readonly string[] | undefined,
): { names: string[]; rest: string[] } {
  const multiple = (command.args.name as { multiple?: boolean } | undefined)?.multiple === true
  const names = command.args.name === undefined ? 0 : multiple ? positionals.length : 1
  return { names: positionals.slice(0, names), rest: [...positionals.slice(names), ...(rest ?? [])] }
}

describe('the argv fixture that binds this parser and the native one', () => {
  for (const one of cases) {
    it(`${one.verb} ${JSON.stringify(one.argv)}`, async () => {
      const command = await commandOf(one.verb)
      const read = () => getopt(one.argv, getoptSpec(command))
      if (one.error !== undefined) {
        expect(read).toThrow(one.error)
        return
      }
      const { options, positionals, rest } = read()
      expect(options.map(({ name, value }) => [name, value ?? ''])).toEqual(one.flags)
      expect(split(command, positionals, rest)).toEqual({ names: one.names, rest: one.rest })
    })
  }
})

describe('questions', () => {
  it.each([
    ['-h', 'help'],
    ['--help', 'help'],
    ['--hel', 'help'],
    ['-?', 'help-error'],
    ['--usage', 'usage'],
    ['--version', 'version'],
  ])('%s asks for %s', async (word, asked) => {
    expect(getopt(['web', word, '--unknown'], getoptSpec(await commandOf('stop'))).asked).toBe(asked)
  })

  it('belong to the command when they follow it', async () => {
    expect(getopt(['web', 'ls', '--help'], getoptSpec(await commandOf('attach')))).toMatchObject({
      asked: undefined,
      rest: ['ls', '--help'],
    })
  })
})

describe('an option given twice', () => {
  it('counts the last time', async () => {
    expect(getopt(['-t1', '-t2', 'web'], getoptSpec(await commandOf('stop'))).options).toEqual([{ name: 'timeout', value: '2' }])
  })

  it('counts the first time when it is -P, as in LXC', async () => {
    expect(getopt(['-P/a', '-P/b', 'web'], getoptSpec(await commandOf('stop'))).options).toEqual([{ name: 'lxcpath', value: '/a' }])
  })
})
