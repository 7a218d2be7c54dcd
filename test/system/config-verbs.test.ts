// config KEY, and config show, get, set, unset, edit and check of a container.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Outcome } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

const TEXT = `# the web server
rootfs: { path: /nowhere }   # nothing there
limits:
  memory: 2G    # enough
net:
  - { type: veth, link: br0 }
`

let root: TestRoot
let file: string
beforeAll(() => {
  root = makeRoot()
  mkdirSync(join(root.lxcpath, 'web'), { recursive: true, mode: 0o700 })
  file = join(root.lxcpath, 'web/config.yaml')
})
afterAll(() => root.remove())
beforeEach(() => {
  rmSync(file, { force: true })
  writeFileSync(file, TEXT, { mode: 0o600 })
})

const config = (...words: string[]): Promise<Outcome> => root.tslxc('config', ...words)
const text = (): string => readFileSync(file, 'utf8')

describe('system settings', () => {
  it('config -l', async () => {
    expect((await config('-l')).stdout.split('\n').slice(0, 2)).toEqual(['lxc.default_config', 'lxc.lxcpath'])
  })

  it('config KEY', async () => {
    expect(await config('lxc.lxcpath')).toMatchObject({ code: 0, stdout: `${root.lxcpath}\n` })
    expect(await config('lxc.bdev.lvm.vg')).toMatchObject({ code: 0, stdout: 'lxc\n' })
    expect(await config('lxc.cgroup.pattern')).toMatchObject({ code: 0, stdout: 'lxc.cgroup.pattern is not set.\n' })
    expect(await config('lxc.nope')).toMatchObject({ code: 1, stdout: 'Unknown configuration item: lxc.nope\n' })
  })
})

describe('get', () => {
  it.each([
    ['limits.memory', '2G\n'],
    ['lxc.limits.memory', '2G\n'],
    ['net.0.link', 'br0\n'],
    ['net.0', 'type: veth\nlink: br0\n'],
  ])('%s', async (key, expected) => {
    expect(await config('get', 'web', key)).toMatchObject({ code: 0, stdout: expected, stderr: '' })
  })

  it('--json', async () => {
    expect(JSON.parse((await config('get', '--json', 'web', 'net')).stdout)).toEqual([{ type: 'veth', link: 'br0' }])
  })

  it('says what is not set, and what is no key', async () => {
    expect(await config('get', 'web', 'uts.name')).toMatchObject({ code: 1, stderr: expect.stringContaining("'uts.name' is not set") })
    expect(await config('get', 'web', 'limits.memroy')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("did you mean 'limits.memory'?"),
    })
    expect(await config('get', 'none', 'uts.name')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("container 'none' does not exist"),
    })
  })
})

describe('set and unset', () => {
  it('change one key and nothing else', async () => {
    expect(await config('set', 'web', 'limits.memory', '4G')).toMatchObject({ code: 0, stdout: '' })
    expect(text()).toBe(TEXT.replace('2G', '4G'))
    expect(await config('set', 'web', 'limits.pids', '100')).toMatchObject({ code: 0 })
    expect(await config('unset', 'web', 'limits.pids')).toMatchObject({ code: 0 })
    expect(text()).toBe(TEXT.replace('2G', '4G'))
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['limits.memory', '4X', "config.yaml:4:11: limits.memory: '4X' is no size"],
    ['limits.mem', '4G', "unknown key 'limits.mem'"],
    ['include', 'nope.yaml', "cannot include 'nope.yaml'"],
    ['shares', '/nowhere:/x', "cannot share '/nowhere'"],
    ['net.0.type', 'empty', "'link' has no meaning for network type 'empty'"],
  ])('write nothing that is wrong: %s = %s', async (key, value, reason) => {
    expect(await config('set', 'web', key, value)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(reason) })
    expect(text()).toBe(TEXT)
  })

  it('lose no change when several come at once', async () => {
    const keys = ['limits.pids', 'start.order', 'tty.max', 'pty.max', 'hook.version', 'start.delay']
    const outcomes = await Promise.all(keys.map((key) => config('set', 'web', key, '1')))
    expect(outcomes.map(({ code, stderr }) => [code, stderr])).toEqual(keys.map(() => [0, '']))
    for (const key of keys) expect((await config('get', 'web', key)).stdout).toBe('1\n')
  })

  it('say what is not there', async () => {
    expect(await config('unset', 'web', 'uts.name')).toMatchObject({ code: 1, stderr: expect.stringContaining("'uts.name' is not set") })
  })
})

describe('show and check', () => {
  it('show what all files say, and where', async () => {
    expect(JSON.parse((await config('show', '--json', 'web')).stdout)).toEqual({
      rootfs: { path: '/nowhere' },
      limits: { memory: '2G' },
      net: [{ type: 'veth', link: 'br0' }],
    })
    expect((await config('show', 'web')).stdout).toContain('limits:\n  memory: 2G\n')
    expect((await config('show', '--origin', 'web')).stdout).toContain(`limits.memory: 2G\t# ${file}:4\n`)
  })

  it('check', async () => {
    expect(await config('check', 'web')).toMatchObject({ code: 0, stdout: "the configuration of 'web' is valid\n" })
    writeFileSync(file, `${TEXT}foo: 1\n`)
    const { code, stderr } = await config('check', 'web')
    expect([code, stderr]).toEqual([1, `tslxc config check: ${file}:7:1: unknown key 'foo'\n    foo: 1\n    ^\n`])
    chmodSync(file, 0o666)
    expect((await config('check', 'web')).stderr).toContain(`hint: chmod go-w ${file}`)
  })
})

describe('edit', () => {
  /** An editor that runs the Nth of these sed scripts the Nth time. */
  async function edit(...scripts: string[]): Promise<Outcome> {
    const editor = join(root.path, 'editor')
    const count = join(root.path, 'count')
    writeFileSync(count, '')
    const cases = scripts.map((script, index) => `${index + 1}) sed -i '${script}' "$1" ;;`).join('\n')
    writeFileSync(editor, `#!/bin/sh\necho >> ${count}\ncase $(wc -l < ${count}) in\n${cases}\nesac\n`, { mode: 0o755 })
    return root.tslxcWith({ env: { EDITOR: editor, VISUAL: undefined } }, 'config', 'edit', 'web')
  }
  const leftovers = (): string[] => readdirSync(join(root.lxcpath, 'web')).filter((name) => name.startsWith('.edit'))

  it('saves what is valid', async () => {
    expect(await edit('s/2G/3G/')).toMatchObject({ code: 0, stderr: '' })
    expect(text()).toBe(TEXT.replace('2G', '3G'))
    expect(leftovers()).toEqual([])
  })

  it('shows line and column of what is wrong and opens again, the text kept', async () => {
    const { code, stderr } = await edit('s/2G/3X/; s/br0/br7/', 's/3X/3G/')
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining(`${file}:4:11: limits.memory: '3X' is no size\n      memory: 3X    # enough\n              ^`),
    ])
    expect(text()).toBe(TEXT.replace('2G', '3G').replace('br0', 'br7'))
  })

  it('gives up when the same is saved again, and says where the text is', async () => {
    const { code, stderr } = await edit('s/2G/3X/', 's/none/none/')
    expect(code).toBe(1)
    expect(text()).toBe(TEXT)
    const kept = /your text is kept in (\S+)/.exec(stderr)?.[1] ?? ''
    expect(existsSync(kept)).toBe(true)
    expect(readFileSync(kept, 'utf8')).toContain('3X')
  })

  it('opens no editor that needs a terminal where there is none', async () => {
    const before = leftovers()
    const outcome = await root.tslxcWith({ env: { EDITOR: undefined, VISUAL: undefined } }, 'config', 'edit', 'web')
    expect(outcome).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining("cannot edit 'web': there is no terminal\n  hint: set EDITOR"),
    })
    expect(leftovers()).toEqual(before)
  })

  it('says that nothing changed, and what an editor that fails did', async () => {
    expect(await edit('s/none/none/')).toMatchObject({ code: 0, stdout: 'nothing changed\n' })
    const { code, stderr } = await root.tslxcWith({ env: { VISUAL: 'false' } }, 'config', 'edit', 'web')
    expect([code, stderr]).toEqual([1, expect.stringContaining("cannot edit 'web': 'false' ended with 1")])
  })

  it('does not overwrite what somebody else changed meanwhile', async () => {
    const racing = join(root.path, 'racing')
    writeFileSync(racing, `#!/bin/sh\nsed -i s/2G/5G/ "$1"\necho "# mine" >> ${file}\n`, { mode: 0o755 })
    const raced = await root.tslxcWith({ env: { VISUAL: racing } }, 'config', 'edit', 'web')
    expect([raced.code, raced.stderr]).toEqual([1, expect.stringContaining('somebody else changed it meanwhile')])
    expect(text()).toBe(`${TEXT}# mine\n`)
  })
})
