/** attach and console on terminals: which streams are one, job control, sizes, modes given back. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program } from '../helpers/program.ts'
import { makeRoot } from '../helpers/root.ts'
import { onTerminal, type TerminalPlan } from '../helpers/terminal.ts'

const root = makeRoot()
const scratch = mkdtempSync(join(tmpdir(), 'tslxc-terminal-'))
const terminal = (plan: TerminalPlan) => onTerminal(plan, { env: { TSLXC_ROOT: root.path, T: program, TERM: 'dumb' } })

beforeAll(async () => {
  await root.createBusybox('busy')
  await root.createBusybox('priv', '--privileged')
  await root.ok('start', 'busy', 'priv')
})
afterAll(async () => {
  await root.remove()
  rmSync(scratch, { recursive: true })
})

const PROMPT = '[#$] '
const subsets = [[], ['0'], ['1'], ['2'], ['0', '1'], ['0', '2'], ['1', '2'], ['0', '1', '2']] as const

describe.each(['busy', 'priv'])('in %s', (name) => {
  const attach = (...words: string[]) => [program, 'attach', name, ...words]

  test.each(subsets.map((subset) => [subset.join(' and ') || 'nothing', subset] as const))('with %s redirected', async (_what, subset) => {
    const files = Object.fromEntries(subset.map((stream) => [stream, stream === '0' ? '/etc/hostname' : join(scratch, `out${stream}`)]))
    const script =
      'seen=; for i in 0 1 2; do test -t $i; seen=$seen$?; done; printf $seen >/tmp/terminals; echo to-output; echo to-error >&2; read -r line; exit 5'
    const { output, code } = await terminal({
      argv: attach('--', 'sh', '-c', script),
      redirect: files,
      steps: subset.length === 3 || (subset as readonly string[]).includes('0') ? [] : [['', 'line\n']],
    })
    expect(code).toBe(5)
    const seen = await root.ok('attach', name, '--', 'cat', '/tmp/terminals')
    expect(seen).toBe(['0', '1', '2'].map((stream) => ((subset as readonly string[]).includes(stream) ? '1' : '0')).join(''))
    for (const [stream, text] of [
      ['1', 'to-output\n'],
      ['2', 'to-error\n'],
    ] as const) {
      if (stream in files) expect(readFileSync(files[stream] ?? '', 'utf8')).toBe(text)
      else expect(output).toContain(text.trim())
    }
  })

  test('the terminal is the container’s own, of the caller’s size, and follows it', async () => {
    const { output, code } = await terminal({
      argv: attach(),
      rows: 41,
      columns: 101,
      steps: [
        [PROMPT, 'tty; stty size\n'],
        ['/dev/pts/\\d+\\r\\n41 101\\r\\n', [33, 77]],
        [PROMPT, 'sleep 0.3; stty size\n'],
        ['33 77', ''],
        [PROMPT, 'test -c $(tty) && exit 42\n'],
      ],
    })
    expect([output, code]).toEqual([expect.stringContaining('33 77'), 42])
  })

  test('the terminal belongs to the command’s user', async () => {
    const owner = async (...options: string[]) =>
      (await terminal({ argv: attach(...options, '--', 'sh', '-c', 'stat -c %u:%g $(tty)') })).output
    expect(await owner()).toBe('0:5\r\n')
    expect(await owner('-u', '1000')).toBe('1000:5\r\n')
  })

  test('Ctrl-C, Ctrl-Z and Ctrl-D are the shell’s inside', async () => {
    const { code, step } = await terminal({
      argv: attach(),
      steps: [
        [PROMPT, "sh -c 'echo a; exec sleep 100'\n"],
        ['a\\r\\n', '\x03'],
        [PROMPT, 'echo "code=$?"\n'],
        ['code=130', ''],
        [PROMPT, "sh -c 'echo b; exec sleep 100'\n"],
        ['b\\r\\n', '\x1a'],
        ['Stopped', ''],
        [PROMPT, "kill -9 %1; sh -c 'echo c; exec cat'\n"],
        ['c\\r\\n', 'mirrored\n'],
        ['mirrored\\r\\nmirrored\\r\\n', '\x04'],
        [PROMPT, 'exit 6\n'],
      ],
    })
    expect([step, code]).toEqual([11, 6])
  })

  test('the caller’s terminal has its modes back', async () => {
    const script = `stty -g; "$T" attach ${name} -- true; stty -g; "$T" attach ${name} -- no-such; stty -g; (sleep 0.5; kill $(pgrep -P $$ tslxc)) & "$T" attach ${name} -- sleep 20; stty -g`
    const { output } = await terminal({ argv: ['bash', '-c', script] })
    const modes = output.split('\r\n').filter((line) => /^[0-9a-f:]{20,}$/.test(line))
    expect(modes).toHaveLength(4)
    expect(new Set(modes).size).toBe(1)
  })

  test('a megabyte passes the terminal whole', async () => {
    await root.ok('attach', name, '--', 'sh', '-c', 'head -c 750000 /dev/urandom | base64 -w 76 >/tmp/text')
    const { output } = await terminal({ argv: attach('--', 'cat', '/tmp/text') })
    const text = await root.ok('attach', name, '--', 'cat', '/tmp/text')
    expect(text.length).toBeGreaterThan(1_000_000)
    expect(output.replaceAll('\r\n', '\n') === text).toBe(true)
  })

  test('the caller’s terminal can’t be reached when no stream is one', async () => {
    const { code } = await terminal({
      argv: attach('--', 'sh', '-c', ': </dev/tty'),
      redirect: { '0': '/dev/null', '1': '/dev/null', '2': '/dev/null' },
    })
    expect(code).not.toBe(0)
  })

  test('-L keeps what the terminal showed', async () => {
    const log = join(scratch, `${name}.log`)
    await terminal({ argv: attach('-L', log, '--', 'echo', 'seen') })
    expect(readFileSync(log, 'utf8')).toBe('seen\r\n')
    expect(statSync(log).mode & 0o777).toBe(0o640)
  })

  test('console: a prompt at once, the prefix, a size, busy, an end', async () => {
    const { output, code } = await terminal({
      argv: [program, 'console', name, '-t', '1'],
      steps: [
        ['Connected to tty 1\\r\\nType <Ctrl\\+a q> to exit the console, <Ctrl\\+a Ctrl\\+a> to enter Ctrl\\+a itself', ''],
        ['login: ', '\x01q'],
      ],
    })
    expect([output, code]).toEqual([expect.stringContaining('login: '), 0])
    const held = terminal({ argv: [program, 'console', name, '-t', '2', '-e', '^b'], steps: [['login: ', '\x02']], timeout: 4 })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const second = await root.tslxc('console', name, '-t', '2')
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('someone else has it open')])
    await held
  })
})

test('console of a container that stops ends', async () => {
  const ended = terminal({ argv: [program, 'console', 'busy', '-t', '0'], steps: [['login: ', '']], timeout: 20 })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await root.ok('stop', '-k', 'busy')
  expect((await ended).code).toBe(0)
  expect((await root.tslxc('console', 'busy')).code).toBe(1)
  expect(existsSync(join(root.lxcpath, 'busy'))).toBe(true)
})
