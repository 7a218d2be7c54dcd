import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '@oclif/core/config'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BaseCommand } from '../../../src/cli/base-command.ts'
import { Args, Flags, nameArg, withOptionalValue } from '../../../src/cli/flags.ts'
import { terminal } from '../../../src/cli/terminal.ts'
import { StateError } from '../../../src/lib/errors.ts'

interface Greeting {
  readonly name: string
  readonly words: readonly string[]
  readonly level: string | undefined
  readonly rest: readonly string[] | undefined
}

class Greet extends BaseCommand<Greeting> {
  static override id = 'greet'
  static override summary = 'Greet a container'
  static override args = { name: nameArg, extra: Args.string({ description: 'More', ignoreStdin: true }) }
  static override rest = { after: 'dashes', label: 'WORDS', description: 'What is passed on' } as const
  static override flags = {
    word: Flags.string({ char: 'w', summary: 'A word', multiple: true, multipleNonGreedy: true }),
    level: withOptionalValue(Flags.string({ char: 'e', summary: 'A level' }), 'all'),
    fail: Flags.boolean({ summary: 'Fail' }),
    kind: Flags.string({ summary: 'A kind', options: ['a', 'b'] }),
  }

  async run(): Promise<Greeting> {
    const { args, flags, rest } = await this.parse(Greet)
    if (flags.fail)
      throw new StateError('not-running', `cannot greet '${args.name}': it is not running`, { hint: 'tslxc start', exitCode: 2 })
    return { name: args.name, words: flags.word ?? [], level: flags.level, rest }
  }

  override print(greeting: Greeting): string {
    return `hello ${greeting.name}\n`
  }

  override summarize(): string {
    return 'next: more\n'
  }
}

let root = ''
const original = { ...terminal }

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tslxc-unit-'))
  process.env.TSLXC_ROOT = root
})
afterEach(() => {
  rmSync(root, { recursive: true })
  delete process.env.TSLXC_ROOT
  process.exitCode = 0
})

async function greet(...argv: string[]): Promise<{ stdout: string; stderr: string; code: unknown }> {
  const written = { stdout: '', stderr: '' }
  terminal.out = (text) => {
    written.stdout += text
  }
  terminal.err = (text) => {
    written.stderr += text
  }
  try {
    await new Greet(argv, { bin: 'tslxc', version: '1.2.3' } as Config).execute()
  } finally {
    Object.assign(terminal, original)
  }
  const code = process.exitCode
  process.exitCode = 0
  return { ...written, code }
}

describe('output', () => {
  it('is what was asked for, then what is worth knowing', async () => {
    expect(await greet('web')).toEqual({ stdout: 'hello web\nnext: more\n', stderr: '', code: 0 })
  })

  it('is only what was asked for with -q', async () => {
    expect(await greet('-q', 'web')).toEqual({ stdout: 'hello web\n', stderr: '', code: 0 })
  })

  it('is the value with --json', async () => {
    const { stdout } = await greet('web', '--json', '-w', 'a', '-wa', '-e')
    expect(JSON.parse(stdout)).toEqual({ name: 'web', words: ['a', 'a'], level: 'all' })
  })
})

describe('words that would go wrong in oclif', () => {
  it.each([
    { argv: ['-n', 'web', '-w', '--json', '-w', '-n', '--word=', '-e--x'], words: ['--json', '-n', ''], level: '--x', rest: undefined },
    { argv: ['web', '--', 'a', 'b', 'a', '', '-n'], words: [], level: undefined, rest: ['a', 'b', 'a', '', '-n'] },
  ])('$argv', async ({ argv, words, level, rest }) => {
    const { stdout } = await greet('--json', ...argv)
    expect(JSON.parse(stdout)).toEqual({ name: 'web', words, ...(level && { level }), ...(rest && { rest }) })
  })
})

describe('errors', () => {
  it('go to standard error, with the exit code', async () => {
    const stderr = "tslxc greet: cannot greet 'web': it is not running\n  hint: tslxc start\n"
    expect(await greet('web', '--fail')).toEqual({ stdout: '', stderr, code: 2 })
  })

  it('go to standard output with --json', async () => {
    const { stdout, stderr, code } = await greet('web', '--fail', '--json')
    expect({ stderr, code }).toEqual({ stderr: '', code: 2 })
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'not-running', message: "cannot greet 'web': it is not running", hint: 'tslxc start' },
    })
  })

  it.each([
    [[], 'no container name was given'],
    [['a', 'b', 'c'], "unexpected word 'c'"],
    [['a', '--bad'], "unknown option '--bad'"],
    [['a', '--kind=c'], 'expected --kind=c to be one of: a, b'],
    [['a', '--lock-timeout=x'], 'Expected an integer but received: x'],
    [['a', '-l', 'LOUD'], "unknown log level 'LOUD'"],
  ])('of usage: %j', async (argv, message) => {
    const { stderr, code } = await greet(...argv)
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/\n {2}hint: (run 'tslxc greet --help'|take one of)/)
    expect(code).toBe(1)
  })

  it('of usage are JSON too when the words ask for it', async () => {
    expect(JSON.parse((await greet('--json', '--bad')).stdout)).toMatchObject({ error: { code: 'usage' } })
  })
})

describe('questions', () => {
  it('--help goes to standard error, as in LXC', async () => {
    const { stdout, stderr, code } = await greet('--help')
    expect({ stdout, code }).toEqual({ stdout: '', code: 0 })
    expect(stderr).toMatch(/^Usage: tslxc greet \[OPTION\]\.\.\. NAME \[EXTRA\] \[-- WORDS\.\.\.\]\nGreet a container\n/)
    expect(stderr).toContain('  -e, --level[=VALUE]           A level')
  })

  it('-? exits 1', async () => expect((await greet('-?')).code).toBe(1))
  it('--version prints the version alone', async () => expect(await greet('--version')).toEqual({ stdout: '1.2.3\n', stderr: '', code: 0 }))
  it('--usage is short', async () => expect((await greet('--usage')).stderr).toMatch(/^Usage: tslxc greet \[-w\|--word=VALUE\]/))
})
