/** What is left when a command dies at any moment, when two come at once, when the disk is full, when a guest sets traps. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program, run } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()
const root = makeRoot()
const noNetwork = join(root.path, 'no-network.yaml')
/** A bridge, and a fixed name of the host's end: what a crash leaves of it must not keep the next start. */
const withVeth = join(root.path, 'veth.yaml')
beforeAll(async () => {
  writeFileSync(noNetwork, 'net: [{ type: empty }]\n')
  writeFileSync(withVeth, 'net: [{ type: veth, link: crashbr0, veth: { pair: crashveth0 }, flags: up, ipv4: { address: 10.91.0.2/24 } }]\n')
  execFileSync('ip', ['link', 'add', 'crashbr0', 'type', 'bridge'])
  // The image is in the cache from then on.
  await root.ok('create', '-t', 'busybox', '-f', noNetwork, 'first')
  await root.ok('destroy', '-q', 'first')
})
afterEach(async () => {
  const trash = join(root.lxcpath, '.trash')
  // Trees are deleted behind the commands.
  await vi.waitFor(() => expect(existsSync(trash) ? readdirSync(trash) : []).toEqual([]), { timeout: 20_000 })
})
afterAll(async () => {
  await root.remove()
  execFileSync('ip', ['link', 'del', 'crashbr0'])
})

const create = (name: string, config = noNetwork) => root.tslxc('create', '-t', 'busybox', '-f', config, name)
const visible = (at: TestRoot = root): string[] => readdirSync(at.lxcpath).filter((entry) => !entry.startsWith('.'))
const ids = (at: TestRoot = root): { name: string; first: number }[] =>
  JSON.parse(readFileSync(join(at.lxcpath, '.alloc/ids.json'), 'utf8')).ranges
const stateOf = async (name: string) => (await root.ok('info', '-sH', name)).trim()

function expectNothing(at: TestRoot = root): void {
  expect(visible(at)).toEqual([])
  expect(ids(at)).toEqual([])
}

const start = (...args: string[]): ChildProcess =>
  spawn(program, args, { stdio: 'ignore', env: { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: process.env.TSLXC_TEST_CACHE } })
const ended = (child: ChildProcess) => new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))

/** Runs a command and kills it after a while; how it ended. */
async function killAfter(ms: number, ...args: string[]): Promise<unknown> {
  const child = start(...args)
  const end = ended(child)
  await sleep(ms)
  child.kill('SIGKILL')
  return await end
}

/** From at once to past the end of the command, which takes about `lengthMs`; more often early. */
const delays = (count: number, lengthMs: number): number[] =>
  Array.from({ length: count }, (_, i) => (i / (count - 1)) ** 1.5 * lengthMs * 1.2)

async function lengthOf(action: () => Promise<unknown>): Promise<number> {
  const before = Date.now()
  await action()
  return Date.now() - before
}

async function destroyWhateverIsThere(name: string): Promise<void> {
  const { code, stderr } = await root.tslxc('destroy', '-f', name)
  if (code !== 0) expect(stderr).toContain('Container is not defined')
}

describe('killed at any moment', { timeout: 300_000 }, () => {
  it('create: the container is whole or is none; the same name can be made or destroyed', async () => {
    const length = await lengthOf(() => create('web'))
    await root.ok('destroy', 'web')
    for (const [round, delay] of delays(14, length).entries()) {
      await killAfter(delay, 'create', '-t', 'busybox', '-f', noNetwork, 'web')
      const listed = (await root.ok('ls')).includes('web')
      if (round % 2 === 0) {
        const again = await create('web')
        expect(again.code === 0 || again.stderr.includes('Container already exists')).toBe(true)
        expect(listed ? again.code : 0).toBe(listed ? 1 : again.code)
        await root.ok('start', 'web')
      } else if (listed) await root.ok('start', 'web')
      await destroyWhateverIsThere('web')
      expectNothing()
    }
  })

  it('start: what runs can be stopped, what does not can be started', async () => {
    expect(await create('web', withVeth)).toMatchObject({ code: 0 })
    for (const delay of delays(14, 40)) {
      await killAfter(delay, 'start', 'web')
      await root.ok('start', 'web')
      expect(await stateOf('web')).toBe('RUNNING')
      await root.ok('stop', '-k', 'web')
      expect(await stateOf('web')).toBe('STOPPED')
    }
    await root.ok('destroy', 'web')
    expectNothing()
  })

  it('stop and destroy: the next one finishes', async () => {
    for (const delay of delays(8, 60)) {
      await create('web')
      await root.ok('start', 'web')
      await killAfter(delay, 'stop', '-k', 'web')
      await killAfter(delay * 3, 'destroy', '-f', 'web')
      await destroyWhateverIsThere('web')
      expectNothing()
    }
  })

  it('the monitor: its container is known as crashed, cleaned up by the next start, stop or destroy', async () => {
    await create('web', withVeth)
    const crash = async () => {
      await root.ok('start', 'web')
      const [runLxcpath = ''] = readdirSync(join(root.path, 'run/tslxc')).filter((entry) => /^\d+-\d+$/.test(entry))
      const state = JSON.parse(readFileSync(join(root.path, 'run/tslxc', runLxcpath, 'web/state.json'), 'utf8'))
      process.kill(state.monitorPid, 'SIGKILL')
      while (existsSync(`/proc/${state.monitorPid}`)) await sleep(5)
      expect(['ABORTING', 'STOPPED']).toContain(await stateOf('web'))
    }
    await crash()
    await root.ok('start', 'web')
    expect(await stateOf('web')).toBe('RUNNING')
    await root.ok('stop', '-k', 'web')
    await crash()
    await root.ok('stop', '-k', 'web')
    expect(await stateOf('web')).toBe('STOPPED')
    await crash()
    await root.ok('destroy', '-f', 'web')
    expectNothing()
  })

  it('create, by Ctrl-C, TERM and HUP: nothing is left, at once', async () => {
    const length = await lengthOf(() => create('web'))
    await root.ok('destroy', 'web')
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
    for (const [round, delay] of delays(12, length).entries()) {
      const child = start('create', '-t', 'busybox', '-f', noNetwork, 'web')
      const end = ended(child)
      await sleep(delay)
      child.kill(signals[round % signals.length])
      // It may have been done, or past the point of return.
      if ((await end) === 0) await root.ok('destroy', 'web')
      else if ((await root.ok('ls')).includes('web')) await root.ok('destroy', 'web')
      expectNothing()
    }
  })
})

describe('two at once', { timeout: 120_000 }, () => {
  it('make one container of one name', async () => {
    const made = await Promise.all([create('web'), create('web'), create('web')])
    expect(made.map(({ code }) => code).sort()).toEqual([0, 1, 1])
    for (const { code, stderr } of made) if (code !== 0) expect(stderr).toContain('Container already exists')
    expect(visible()).toEqual(['web'])
  })

  it('start it once, stop it once, destroy it once', async () => {
    // LXC: starting what runs is an error that exits with 0
    const started = await Promise.all([root.tslxc('start', 'web'), root.tslxc('start', 'web')])
    expect(started.map(({ code }) => code)).toEqual([0, 0])
    expect(await stateOf('web')).toBe('RUNNING')
    const stopped = await Promise.all([root.tslxc('stop', '-k', 'web'), root.tslxc('stop', '-k', 'web')])
    expect(stopped.map(({ code }) => code).filter((code) => code !== 0 && code !== 2)).toEqual([])
    const destroyed = await Promise.all([root.tslxc('destroy', '-f', 'web'), root.tslxc('destroy', '-f', 'web')])
    expect(destroyed.map(({ code }) => code).sort()).toEqual([0, 1])
    expectNothing()
  })

  it('get ids of their own', async () => {
    const names = ['a', 'b', 'c', 'd']
    expect((await Promise.all(names.map((name) => create(name)))).map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(new Set(ids().map(({ first }) => first)).size).toBe(4)
    await Promise.all(names.map((name) => root.ok('destroy', name)))
    expectNothing()
  })

  it('start and destroy end in one of the two', async () => {
    for (let round = 0; round < 4; round++) {
      await create('web')
      await Promise.all([root.tslxc('start', 'web'), sleep(round * 5).then(() => root.tslxc('destroy', 'web'))])
      await destroyWhateverIsThere('web')
      expectNothing()
    }
  })
})

describe('a full disk', () => {
  let small: TestRoot
  beforeAll(() => {
    small = makeRoot()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4M,mode=0700', 'none', small.path])
  })
  afterAll(async () => {
    if (existsSync(small.lxcpath)) for (const name of visible(small)) await small.tslxc('stop', '-k', name)
    execFileSync('umount', [small.path])
    await small.remove()
  })
  const fill = async () => {
    await run(['sh', '-c', `cat /dev/zero > ${small.path}/filler`])
  }

  it('create says so and leaves nothing; what is there can be started, stopped and destroyed', async () => {
    const cache = { env: { TSLXC_CACHE: process.env.TSLXC_TEST_CACHE ?? join(root.path, 'var/cache/tslxc') } }
    const createHere = (name: string) => small.tslxcWith(cache, 'create', '-t', 'busybox', '-f', noNetwork, name)
    const first = await createHere('first')
    expect(first).toMatchObject({ code: 0 })
    await fill()
    const second = await createHere('second')
    expect(second.code).toBe(1)
    expect(second.stderr).toMatch(/no space left|No space left/)
    expect(visible(small)).toEqual(['first'])
    rmSync(join(small.path, 'filler'))
    await small.ok('start', 'first')
    await fill()
    await small.ok('stop', '-k', 'first')
    await small.ok('destroy', 'first')
    expectNothing(small)
  })
})

describe('traps of a guest', () => {
  const outside = join(root.path, 'outside')
  beforeAll(() => {
    mkdirSync(join(outside, 'dir'), { recursive: true })
    for (const file of ['hostname', 'hosts', 'resolv.conf', 'dir/file']) writeFileSync(join(outside, file), 'precious\n')
  })
  const expectUnharmed = () => {
    for (const file of ['hostname', 'hosts', 'resolv.conf', 'dir/file'])
      expect(readFileSync(join(outside, file), 'utf8')).toBe('precious\n')
    expect(readdirSync(outside).sort()).toEqual(['dir', 'hostname', 'hosts', 'resolv.conf'])
    expect(readdirSync(join(outside, 'dir'))).toEqual(['file'])
  }

  it('symlinks lead no write of start, and no removal of destroy, out', async () => {
    await create('web')
    const rootfs = join(root.lxcpath, 'web/rootfs')
    for (const file of ['hostname', 'hosts', 'resolv.conf']) {
      rmSync(join(rootfs, 'etc', file), { force: true })
      symlinkSync(join(outside, file), join(rootfs, 'etc', file))
    }
    rmSync(join(rootfs, 'mnt'), { recursive: true, force: true })
    symlinkSync(outside, join(rootfs, 'mnt'))
    await root.tslxc('start', 'web')
    expectUnharmed()
    await root.tslxc('stop', '-k', 'web')
    rmSync(join(rootfs, 'etc'), { recursive: true })
    symlinkSync(outside, join(rootfs, 'etc'))
    await root.tslxc('start', 'web')
    expectUnharmed()
    await root.ok('destroy', '-f', 'web')
    expectUnharmed()
    expectNothing()
  })

  it('a mount of the administrator in the root file system is not followed; destroy goes on after umount', async () => {
    await create('web')
    const point = join(root.lxcpath, 'web/rootfs/mnt')
    execFileSync('mount', ['--bind', outside, point])
    try {
      const refused = await root.tslxc('destroy', 'web')
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain('Destroying web failed')
      expect(refused.stderr).toContain('something is mounted there')
      expectUnharmed()
    } finally {
      execFileSync('umount', [point])
    }
    expect(await root.ok('ls')).not.toContain('web')
    await root.ok('destroy', 'web')
    expectUnharmed()
    expectNothing()
  })

  it('immutable files do not keep a container', async () => {
    await create('web')
    const file = join(root.lxcpath, 'web/rootfs/etc/immutable')
    writeFileSync(file, 'x')
    const { code } = await run(['chattr', '+i', file])
    await root.ok('destroy', 'web')
    expectNothing()
    expect(code).toBe(0)
  })
})
