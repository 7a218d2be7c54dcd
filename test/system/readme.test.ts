import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Example, expectedPattern, readExamples } from '../helpers/console-blocks.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { checkout, program } from '../helpers/program.ts'
import { untilDeletedBehind } from '../helpers/root.ts'

const README = readFileSync(join(checkout, 'README.md'), 'utf8')
const cache = process.env.TSLXC_TEST_CACHE ?? ''
const hasDebian = existsSync(join(cache, 'images')) && readdirSync(join(cache, 'images')).length > 0

expectNoLeaks()

/** One shell for all examples, in a network and a mount namespace of its own, where /srv is a directory of the test's. */
class Shell {
  readonly root = mkdtempSync('/var/tmp/tslxc-test-')
  readonly #child: ChildProcessWithoutNullStreams
  #output = ''

  constructor() {
    const bin = join(this.root, 'bin')
    mkdirSync(bin)
    mkdirSync(join(this.root, 'srv'), { mode: 0o755 })
    symlinkSync(program, join(bin, 'tslxc'))
    const env = { ...process.env, TSLXC_ROOT: this.root, TSLXC_CACHE: cache, PATH: `${bin}:${process.env.PATH}`, LC_ALL: 'C' }
    this.#child = spawn('unshare', ['--net', '--mount', '--propagation', 'slave', 'sh'], { env, stdio: 'pipe' })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
  }

  async run(command: string): Promise<{ readonly status: number; readonly output: string }> {
    this.#output = ''
    const mark = `end-of-${Math.random()}`
    this.#child.stdin.write(`{ ${command}\n} 2>&1 </dev/null; printf '\\n%s %s\\n' ${mark} $?\n`)
    const end = new RegExp(`\\n${mark} (\\d+)\\n`)
    for (const deadline = Date.now() + 120_000; !end.test(this.#output); await sleep(20))
      if (Date.now() > deadline) throw new Error(`no end of '${command}': ${this.#output}`)
    const found = end.exec(this.#output)
    return { status: Number(found?.[1]), output: this.#output.slice(0, found?.index).replaceAll(this.root, '') }
  }

  async end(): Promise<void> {
    await this.run('for name in $(tslxc ls -1); do tslxc stop -k $name; done; tslxc network down --force')
    this.#child.stdin.end()
    await untilDeletedBehind(this.root)
    rmSync(this.root, { recursive: true, force: true, maxRetries: 12, retryDelay: 200 })
  }
}

/** Progress is for whoever waits; the README shows what stays. */
const withoutProgress = (output: string): string =>
  output
    .split('\n')
    .filter(
      (line) =>
        !/^(fetching|making|copying|preparing|removing|restoring|starting|taking snapshot|setting up|unpacking) /.test(line) &&
        !/: (sending|fetched)/.test(line),
    )
    .join('\n')
    .replace(/\n*$/, '')
    .concat('\n')
    .replace(/^\n$/, '')

const mayFail = ({ command, expected }: Example): boolean =>
  command.includes('; echo $?') || expected.some((line) => /^tslxc [a-z ]+: /.test(line))

describe('README.md', () => {
  const examples = readExamples(README)
  let shell: Shell | undefined
  beforeAll(async () => {
    if (!hasDebian) return
    shell = new Shell()
    await shell.run(`ip link set lo up && mount --bind ${shell.root}/srv /srv`)
  })
  afterAll(async () => await shell?.end())

  it('has examples', () => expect(examples.length).toBeGreaterThan(15))

  it.for(examples)('line $line: $command', { timeout: 180_000 }, async (example, context) => {
    needs(context, hasDebian, 'no Debian image in TSLXC_TEST_CACHE')
    const { status, output } = (await shell?.run(example.command)) ?? { status: 1, output: '' }
    expect(withoutProgress(output)).toMatch(expectedPattern(example.expected))
    if (!mayFail(example)) expect(status).toBe(0)
  })
})
