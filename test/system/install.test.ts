import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkout, type Outcome, run, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

let base = ''
let prefix = ''

const install = (...args: string[]): Promise<Outcome> =>
  run([process.execPath, join(checkout, 'scripts/install-system.mjs'), '--prefix', prefix, ...args], {
    env: { TSLXC_ROOT: join(base, 'root') },
  })

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'tslxc-install-'))
  prefix = join(base, 'usr')
  mkdirSync(prefix)
})
afterAll(() => rmSync(base, { recursive: true }))

describe('install-system', () => {
  it('puts the program, its links, pages and completion there', async () => {
    expect(await install()).toMatchObject({ code: 0, stderr: '' })
    expect(await runOk([join(prefix, 'bin/tslxc'), '--version'])).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect((await run([join(prefix, 'bin/tslxc-ls'), '--help'])).stderr).toContain('Usage: tslxc ls')
    expect(existsSync(join(prefix, 'share/man/man1/tslxc-start.1'))).toBe(true)
    expect(existsSync(join(prefix, 'share/man/man5/tslxc.yaml.5'))).toBe(true)
    expect(existsSync(join(prefix, 'share/bash-completion/completions/tslxc-attach'))).toBe(true)
  })

  it('upgrades in place, and takes away what the new version no longer has', async () => {
    const manifest = join(prefix, 'lib/tslxc/manifest.json')
    const written = JSON.parse(readFileSync(manifest, 'utf8'))
    const stale = join(prefix, 'share/man/man1/tslxc-gone.1')
    writeFileSync(stale, '')
    written.entries.push({ kind: 'file', path: stale, digest: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' })
    writeFileSync(manifest, JSON.stringify(written))
    expect(await install()).toMatchObject({ code: 0 })
    expect(existsSync(stale)).toBe(false)
    expect(await runOk([join(prefix, 'bin/tslxc'), '--version'])).toMatch(/^\d/)
  })

  it("leaves alone what is not its own, and the admin's files as they are", async () => {
    const etc = join(base, 'root/etc/tslxc/default.yaml')
    const had = existsSync(etc)
    if (had) writeFileSync(etc, '# mine\n')
    writeFileSync(join(prefix, 'bin/other'), '')
    expect(await install()).toMatchObject({ code: 0 })
    if (had) expect(readFileSync(etc, 'utf8')).toBe('# mine\n')
    const { code, stdout } = await install('--uninstall')
    expect(code).toBe(0)
    expect(readdirSync(prefix, { recursive: true })).toEqual(['bin', 'bin/other'])
    if (had) expect(stdout).toContain(`left alone, it was changed: ${etc}`)
  })

  it('refuses where something else stands', async () => {
    writeFileSync(join(prefix, 'bin/tslxc'), 'mine')
    expect(await install()).toMatchObject({ code: 1, stderr: expect.stringContaining("bin/tslxc': something else stands there") })
    expect(readFileSync(join(prefix, 'bin/tslxc'), 'utf8')).toBe('mine')
    expect(existsSync(join(prefix, 'lib/tslxc'))).toBe(false)
  })
})

describe('an upgrade under a running container', () => {
  let root: TestRoot
  beforeAll(() => {
    root = makeRoot()
    prefix = join(base, 'upgrade')
    mkdirSync(prefix)
  })
  afterAll(() => root.remove())

  it('leaves it running; the next info, attach and stop work', async () => {
    const env = { TSLXC_ROOT: root.path }
    const installed = (...args: string[]): Promise<string> => runOk([join(prefix, 'bin/tslxc'), ...args], { env })
    const again = (): Promise<string> =>
      runOk([process.execPath, join(checkout, 'scripts/install-system.mjs'), '--prefix', prefix], { env })
    await again()
    await root.createBusybox('kept')
    await installed('start', 'kept')
    const pid = await installed('info', '-pH', 'kept')
    await again()
    expect(await installed('info', '-pH', 'kept')).toBe(pid)
    expect(await installed('attach', 'kept', '--', 'echo', 'here')).toBe('here\n')
    await installed('stop', '-k', 'kept')
    expect(await installed('info', '-sH', 'kept')).toBe('STOPPED\n')
    await installed('start', 'kept')
    await runOk([process.execPath, join(checkout, 'scripts/install-system.mjs'), '--prefix', prefix, '--uninstall'], { env })
    expect(existsSync(join(root.lxcpath, 'kept/config.yaml'))).toBe(true)
    expect((await root.ok('info', '-sH', 'kept')).trim()).toBe('RUNNING')
    await root.ok('stop', '-k', 'kept')
  })
})
