/** The command line as scripts meet it: shim, links, and what happens when a part is absent. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkout, program, run, shim } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

let root: TestRoot
let dir = ''
beforeAll(() => {
  root = makeRoot()
  dir = mkdtempSync(join(tmpdir(), 'tslxc-cli-'))
})
afterAll(async () => {
  await root.remove()
  rmSync(dir, { recursive: true })
})

describe('bin/tslxc', () => {
  it('runs a verb, from any link and any directory', async () => {
    symlinkSync(shim, join(dir, 'tslxc'))
    symlinkSync(join(checkout, 'bin/tslxc-ls'), join(dir, 'tslxc-ls'))
    for (const command of [[shim, 'ls'], [`${shim}-ls`], [join(dir, 'tslxc'), 'ls'], [join(dir, 'tslxc-ls')]]) {
      expect(await run(command, { cwd: '/', env: { TSLXC_ROOT: root.path } })).toEqual({ code: 0, stdout: '', stderr: '' })
    }
  })

  it('runs a verb of Node by its link too', async () => {
    const { code, stdout } = await run([`${shim}-config`, 'lxc.lxcpath'], { env: { TSLXC_ROOT: root.path } })
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${root.lxcpath}\n` })
  })

  it('says what to do when nothing is built', async () => {
    const bin = join(dir, 'unbuilt/bin')
    mkdirSync(bin, { recursive: true })
    copyFileSync(shim, join(bin, 'tslxc'))
    chmodSync(join(bin, 'tslxc'), 0o755)
    symlinkSync('tslxc', join(bin, 'tslxc-attach'))
    for (const name of ['tslxc', 'tslxc-attach']) {
      expect(await run([join(bin, name)])).toEqual({ code: 1, stdout: '', stderr: 'tslxc: not built: run npm ci && npm run build\n' })
    }
  })
})

describe('a verb of Node', () => {
  it('says which Node is missing', async () => {
    const { code, stderr } = await root.tslxcWith({ env: { TSLXC_NODE: '/nowhere/node' } }, 'config', 'lxc.lxcpath')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^tslxc( config)?: cannot run Node at \/nowhere\/node: No such file or directory\n {2}hint: .*TSLXC_NODE/)
  })

  it('says when Node is too old', async () => {
    const script = `Object.defineProperty(process.versions, 'node', { value: '18.20.0' }); require(${JSON.stringify(join(checkout, 'bin/run.cjs'))}).load()`
    const { code, stderr } = await run([process.execPath, '-e', script])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^tslxc: cannot run on Node 18\.20\.0: 20\.11 or newer is needed\n {2}hint: /)
  })

  it('is not touched by NODE_OPTIONS and NODE_EXTRA_CA_CERTS', async () => {
    const env = { NODE_OPTIONS: '--require /nowhere/x.cjs', NODE_EXTRA_CA_CERTS: '/nowhere/ca.pem' }
    expect(await root.tslxcWith({ env }, 'config', 'lxc.lxcpath')).toEqual({ code: 0, stdout: `${root.lxcpath}\n`, stderr: '' })
  })
})

describe('a native verb', () => {
  it('needs no Node while its answer is compiled', async () => {
    await root.ok('ls')
    expect(await root.tslxcWith({ env: { TSLXC_NODE: '/nowhere/node' } }, 'ls')).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('prints help on standard error and exits as LXC does', async () => {
    for (const [word, code] of [
      ['--help', 0],
      ['-h', 0],
      ['-?', 1],
      ['--usage', 0],
    ] as const) {
      const outcome = await root.tslxc('stop', word)
      expect({ word, code: outcome.code, stdout: outcome.stdout }).toEqual({ word, code, stdout: '' })
      expect(outcome.stderr).toMatch(/^Usage: tslxc stop/)
    }
  })

  it('starts through the oclif class as well', async () => {
    const { code, stderr } = await run([process.execPath, join(checkout, 'bin/run.cjs'), 'stop', 'nothing'], {
      env: { TSLXC_ROOT: root.path },
    })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^tslxc stop: cannot stop 'nothing': /)
  })
})

describe('every verb', () => {
  it.each(['attach', 'console', 'start', 'stop', 'freeze', 'unfreeze', 'wait', 'info', 'destroy', 'config show', 'config check'])(
    '%s: an error with --json is JSON on standard output',
    async (verb) => {
      const words = verb === 'wait' ? ['wait', '-s', 'RUNNING', '-t', '0'] : verb.split(' ')
      const { code, stdout, stderr } = await root.tslxc(...words, '--json', '-n', 'no-such-one')
      expect({ verb, stderr, code }).toEqual({ verb, stderr: '', code: 1 })
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } })
    },
  )

  it.each(['start', 'stop', 'info', 'destroy', 'config get'])('%s refuses a name that is none', async (verb) => {
    for (const name of ['..', 'a/b', '-x', 'x'.repeat(65)]) {
      const outcome = await root.tslxc(...verb.split(' '), '-n', name, ...(verb === 'config get' ? ['uts.name'] : []))
      expect({ verb, name, code: outcome.code }).toEqual({ verb, name, code: 1 })
      expect(outcome.stderr).toMatch(/^tslxc [a-z ]+: cannot .*name/)
    }
  })
})

describe('the program', () => {
  it('says which option is missing', async () => {
    expect(await root.tslxc('create', 'some')).toMatchObject({
      code: 1,
      stderr: "tslxc create: option '--template' is missing\n  hint: run 'tslxc create --help'\n",
    })
  })

  it('names the closest command', async () => {
    const { code, stderr } = await run([program, 'atach'])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "tslxc: unknown command 'atach'\n  hint: did you mean 'tslxc attach'? 'tslxc --help' lists all\n",
    })
  })

  it.each([
    ['at', "did you mean 'tslxc attach'? "],
    ['xyz', ''],
    ['--bogus', ''],
  ])('names the command that begins so, and none for the rest: %s', async (word, meant) => {
    expect((await run([program, word])).stderr).toBe(`tslxc: unknown command '${word}'\n  hint: ${meant}'tslxc --help' lists all\n`)
  })

  it('helps with a command by either spelling', async () => {
    expect((await run([program, 'help', 'stop'])).stderr).toBe((await run([program, 'stop', '--help'])).stderr)
    expect((await run([program, 'help', 'config', 'get'])).stderr).toMatch(/^Usage: tslxc config get/)
  })

  it('lists its commands', async () => {
    const { code, stdout } = await run([program, '--help'])
    expect(code).toBe(0)
    for (const verb of ['attach', 'create', 'config edit', 'network up']) expect(stdout).toContain(`\n  ${verb} `)
    expect(stdout).not.toContain('compile')
  })
})
