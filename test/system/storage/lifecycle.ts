/** One container's life on one storage, by the commands of a user: what each leaves, what each must not touch. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { expectNoLeaks } from '../../helpers/leaks.ts'
import {
  allocated,
  type LifecycleBench as Bench,
  configOf,
  contentOf,
  expectEntries,
  inUse,
  type LifecycleOptions,
  makeStore,
  namesIn,
  putContent,
  type StoreName,
} from '../../helpers/lifecycle-store.ts'
import { crashes } from './lifecycle-crash.ts'
import { faults } from './lifecycle-faults.ts'
import { races } from './lifecycle-races.ts'

interface Written {
  readonly uts: { readonly name: string }
  readonly rootfs: { readonly path: string }
  readonly idmap?: readonly string[]
  readonly net: readonly { readonly hwaddr: string }[]
}

export function lifecycle(driver: StoreName, options: LifecycleOptions): void {
  describe.skipIf(options.missing)(`${driver}${options.missing ? `: ${options.missing}` : ''}`, { timeout: 120_000 }, () => {
    expectNoLeaks()
    const bridge = `life${driver.slice(0, 5)}0`
    // Outside of the store, which can be full or away.
    const config = join('/var/tmp', `${bridge}-${process.pid}.yaml`)
    let bench: Bench
    beforeAll(async () => {
      const store = await makeStore(driver)
      writeFileSync(config, `net: [{ type: veth, link: ${bridge}, flags: up }]\n`, { mode: 0o600 })
      execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge'])
      bench = { store, options, createArgs: ['-t', 'busybox', '-f', config, ...store.createArgs] }
    })
    afterAll(async () => {
      await bench.store.remove()
      execFileSync('ip', ['link', 'del', bridge])
      rmSync(config)
    })
    const current = (): Bench => bench
    life(current)
    describe('killed', () => crashes(current))
    describe('faults', () => faults(current))
    describe('two at once', () => races(current))
  })
}

function life(current: () => Bench): void {
  const store = () => current().store
  const ok = (...words: string[]) => store().root.ok(...words)
  const inside = (name: string, command: string) => ok('attach', name, '--', '/bin/sh', '-c', command)
  const written = (name: string) => parse(configOf(store(), name)) as Written
  const isStartless = () => Boolean(current().options.startless)
  /** Through the container where it can run, else behind its back. */
  const write = async (name: string, text: string) =>
    isStartless() ? await putContent(store(), name, text) : void (await inside(name, `echo ${text} >/root/content`))
  const start = async (...names: string[]) => void (isStartless() || (await ok('start', ...names)))
  const stop = async (name: string) => void (isStartless() || (await ok('stop', '-k', name)))
  let empty: string[] = []

  beforeAll(() => {
    empty = store().entries()
  })
  afterAll(() => expect(inUse(store())).toEqual([]))

  it('is created, started, broken and put back, from any of its snapshots', async () => {
    await ok('create', 'web', ...current().createArgs)
    expect(written('web').rootfs.path).toMatch(new RegExp(`^${store().driver}:`))
    await start('web')
    if (!isStartless()) expect(written('web').idmap?.[0]).toMatch(/^b 0 [1-9]/)
    await write('web', 'first')
    await ok('snapshot', 'web')
    await write('web', 'second')
    await ok('snapshot', 'web', 'later')
    await write('web', 'broken')
    if (!isStartless()) {
      const refused = await store().root.tslxc('snapshot', '-r', 'snap0', 'web')
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('it is running')])
      expect((await inside('web', 'cat /root/content')).trim()).toBe('broken')
    }
    await stop('web')
    await ok('snapshot', '-r', 'snap0', 'web')
    await start('web')
    if (!isStartless()) expect((await inside('web', 'cat /root/content')).trim()).toBe('first')
    await stop('web')
    expect(await contentOf(store(), 'web')).toBe('first')
    await ok('snapshot', '-r', 'later', 'web')
    expect(await contentOf(store(), 'web')).toBe('second')
    await ok('snapshot', '-r', 'snap0', 'web')
    expect(await contentOf(store(), 'web')).toBe('first')
    for (const [snapshot, text] of [['snap0', 'first'] as const, ['later', 'second'] as const])
      expect(await contentOf(store(), 'web', snapshot)).toBe(text)
    // zfs-fuse mounts whatever it makes.
    if (store().driver !== 'zfs') expect(inUse(store())).toEqual([])
  })

  it('is copied, in full and sharing; none of the three sees what another changes', async () => {
    await putContent(store(), 'web', 'source')
    await ok('copy', 'web', 'full')
    if (current().options.clones === false) {
      const { code, stderr } = await store().root.tslxc('copy', '-s', 'web', 'thin')
      expect([code, stderr]).toEqual([1, expect.stringContaining("cannot copy 'web' copy-on-write")])
      await ok('copy', 'web', 'thin')
    } else await ok('copy', '-s', 'web', 'thin')
    for (const name of ['full', 'thin']) {
      expect(written(name).uts.name).toBe(name)
      expect(written(name).net[0]?.hwaddr).not.toBe(written('web').net[0]?.hwaddr)
      expect(await contentOf(store(), name)).toBe('source')
    }
    const names = ['full', 'thin', 'web']
    if (written('web').idmap !== undefined) {
      expect(new Set(names.map((name) => written(name).idmap?.[0])).size).toBe(3)
      expect(allocated(store(), 'ids')).toEqual(names)
    }
    await start(...names)
    for (const name of names) await write(name, `of-${name}`)
    if (!isStartless()) {
      expect((await inside('thin', 'hostname; rm /etc/passwd')).trim()).toBe('thin')
      expect(await inside('web', 'cat /etc/passwd')).toContain('root')
    }
    for (const name of names) await stop(name)
    for (const name of names) expect(await contentOf(store(), name)).toBe(`of-${name}`)
    expect(await contentOf(store(), 'web', 'snap0')).toBe('first')
    await ok('destroy', 'full')
  })

  it('is copied while it runs', async (context) => {
    context.skip(isStartless(), String(current().options.startless))
    await start('web')
    expect((await store().root.tslxc('copy', 'web', 'no')).stderr).toContain('--allowrunning')
    await ok('copy', '-a', 'web', 'hot')
    await ok('copy', ...(current().options.clones === false ? [] : ['-s']), '-a', 'web', 'hotthin')
    expect((await ok('info', '-sH', 'web')).trim()).toBe('RUNNING')
    await stop('web')
    for (const name of ['hot', 'hotthin']) {
      expect(await contentOf(store(), name)).toBe('of-web')
      await ok('start', name)
      await ok('destroy', '-f', name)
    }
  })

  it('takes its snapshots along to another name', async () => {
    await ok('copy', '-R', 'web', 'www')
    expect(namesIn(join(store().root.lxcpath, 'www/snaps')).sort()).toEqual(['later', 'snap0'])
    await ok('snapshot', '-r', 'later', 'www')
    expect(await contentOf(store(), 'www')).toBe('second')
    await ok('copy', '-R', 'www', 'web')
    await ok('snapshot', '-r', 'snap0', 'web')
    expect(await contentOf(store(), 'web')).toBe('first')
    await start('web')
    await stop('web')
  })

  it('has ephemeral copies that go with their stop', async (context) => {
    context.skip(isStartless(), String(current().options.startless))
    context.skip(current().options.clones === false, 'copies that share blocks are not to be had here')
    await ok('copy', '-e', 'web', '-N', 'short')
    expect((await inside('short', 'cat /root/content; echo x >/root/content')).trim()).toBe('first')
    await ok('stop', '-k', 'short')
    await vi.waitFor(() => expect(existsSync(join(store().root.lxcpath, 'short'))).toBe(false), { timeout: 10_000 })
    expect(await contentOf(store(), 'web')).toBe('first')
  })

  it('goes to every other storage and comes back', async () => {
    const others = (['dir', 'overlay', 'loop', 'btrfs'] as const).filter((driver) => {
      const isHere = driver !== 'btrfs' || store().driver === 'btrfs'
      return isHere && driver !== store().driver
    })
    for (const driver of others) {
      await ok('copy', '-B', driver, 'web', driver, ...(driver === 'loop' ? ['-L', '64M'] : []))
      expect(await contentOf(store(), driver)).toBe('first')
    }
    const [last = 'dir'] = others.slice(-1)
    await ok('copy', ...store().createArgs.map((word) => (word === '--fssize' ? '-L' : word)), last, 'back')
    expect(written('back').rootfs.path).toMatch(new RegExp(`^${store().driver}:`))
    expect(await contentOf(store(), 'back')).toBe('first')
    await ok('destroy', ...others, 'back')
  })

  it('is destroyed when nothing hangs on it, or with what does; then nothing is left', async () => {
    const refused = await store().root.tslxc('destroy', 'web')
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('web has snapshots (later, snap0)')])
    await ok('destroy', '-s', 'web')
    expect(await contentOf(store(), 'thin')).toBe('of-thin')
    await start('thin')
    await stop('thin')
    if (current().options.hasDependents) {
      await ok('copy', '-s', 'thin', 'leaf')
      expect((await store().root.tslxc('destroy', 'thin')).stderr).toContain('thin has clones (leaf)')
      await ok('destroy', '--flatten', 'thin')
      expect(await contentOf(store(), 'leaf')).toBe('of-thin')
      await ok('copy', '-s', 'leaf', 'thin')
      await ok('destroy', '-s', 'leaf')
      expect(existsSync(join(store().root.lxcpath, 'thin'))).toBe(false)
    } else await ok('destroy', 'thin')
    await ok('image', 'rm', '--all')
    await expectEntries(store(), empty)
    expect([allocated(store(), 'ids'), allocated(store(), 'leases')]).toEqual([[], []])
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`${store().root.path}/var`)
  })
}
