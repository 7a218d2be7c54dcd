import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { checkout, type Outcome, run } from '../helpers/program.ts'

const SCRIPT = join(checkout, 'scripts/quickstart.mjs')

expectNoLeaks()

let root: string
let cache: string
beforeEach(() => {
  root = mkdtempSync('/var/tmp/tslxc-test-')
  cache = join(root, 'elsewhere/cache')
})
afterEach(async () => {
  await quickstart('--undo', '--yes')
  await tslxc('network', 'down', '--force')
  rmSync(root, { recursive: true, force: true })
})

/** In the test's own network namespace. `before`: a shell line in a mount namespace of this run alone. */
async function quickstartAfter(before: string, ...words: string[]): Promise<Outcome> {
  const command = [
    'unshare',
    '--mount',
    '--propagation',
    'slave',
    'sh',
    '-c',
    `${before}; exec "$@"`,
    'sh',
    process.execPath,
    SCRIPT,
    ...words,
  ]
  return await run(command, { env: { TSLXC_ROOT: root, TSLXC_CACHE: cache }, timeoutMs: 110_000 })
}
const quickstart = (...words: string[]): Promise<Outcome> => quickstartAfter(':', ...words)

const tslxc = (...words: string[]): Promise<Outcome> =>
  run([join(checkout, 'bin/tslxc'), ...words], { env: { TSLXC_ROOT: root, TSLXC_CACHE: cache } })

describe('quickstart', () => {
  it('makes a running container, changes nothing the second time, and takes all back', async () => {
    const first = await quickstart('-t', 'busybox')
    expect(first).toMatchObject({ code: 0 })
    expect(first.stdout).toMatch(/demo RUNNING 0 +- +10\.0\.4\.2 +- +true/)
    expect(first.stdout).toContain('this is demo, its first process is init')
    expect(first.stdout).toContain('Changed on this host:')
    expect(first.stdout).toContain(`${root}/etc/tslxc/networks/tslxcbr0.yaml`)

    const second = await quickstart('-t', 'busybox')
    expect(second).toMatchObject({ code: 0 })
    expect(second.stdout).not.toContain('made bridge')
    expect(second.stdout).not.toContain('tslxc start')
    expect(second.stdout).toContain('this is demo')

    const undo = await quickstart('--undo')
    expect(undo).toMatchObject({ code: 0, stderr: expect.not.stringContaining('cannot') as string })
    expect((await run(['ip', 'link', 'show', 'tslxcbr0'])).code).not.toBe(0)
    expect((await run(['nft', 'list', 'tables'])).stdout).not.toContain('tslxc')
    for (const dir of ['etc/tslxc', 'var/lib/tslxc', 'run/tslxc']) expect(existsSync(join(root, dir))).toBe(false)
    expect(existsSync(cache)).toBe(false)
    expect((await quickstart('--undo')).stdout).toContain('Nothing to undo')
  })

  it('leaves what was there before', async () => {
    await tslxc('network', 'up')
    await tslxc('create', 'mine', '-t', 'busybox')
    const images = readdirSync(join(cache, 'images'))
    expect(await quickstart('-t', 'busybox')).toMatchObject({ code: 0 })
    expect(await quickstart('--undo')).toMatchObject({ code: 0 })
    expect((await tslxc('ls', '-1')).stdout).toBe('mine\n')
    expect((await tslxc('network', 'show')).stdout).toMatch(/State: +up/)
    expect(readdirSync(join(cache, 'images'))).toEqual(images)
    await tslxc('destroy', 'mine')
    await tslxc('network', 'down')
  })

  it('takes back what a run that broke off had made', async () => {
    // A file where the directory of the container should be: create refuses.
    mkdirSync(join(root, 'var/lib/tslxc/demo'), { recursive: true })
    mkdirSync(join(root, 'var/lib/tslxc/demo/foreign'))
    expect(await quickstart('-t', 'busybox')).toMatchObject({ code: 1, stderr: expect.stringContaining('quickstart:') as string })
    rmSync(join(root, 'var/lib/tslxc/demo'), { recursive: true })
    expect(await quickstart('--undo')).toMatchObject({ code: 0 })
    expect((await run(['ip', 'link', 'show', 'tslxcbr0'])).code).not.toBe(0)
  })

  it('names missing packages and, without a terminal, only prints how to install them', async () => {
    const { code, stdout, stderr } = await quickstartAfter('mount -t tmpfs tmpfs /usr/include/nlohmann', '-t', 'busybox')
    expect(code).toBe(1)
    expect(stdout).toContain('missing on this host: nlohmann-json3-dev (the native program)')
    expect(stderr).toContain('apt-get install -y --no-install-recommends nlohmann-json3-dev')
    expect(readdirSync(root)).toEqual([])
  })
})
