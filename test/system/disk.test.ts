/** Limits of the disk: enforced inside of running containers, grown live, edited by hand, made up for after a crash; df. */
import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { which } from '../../src/platform/exec.ts'
import type { Volume } from '../../src/storage/driver.ts'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'
import { makeZfsPool, type ZfsPool } from '../helpers/zfs-pool.ts'

expectNoLeaks()

const MIB = 1 << 20
const cacheOf = (root: TestRoot): string => process.env.TSLXC_TEST_CACHE ?? join(root.path, 'var/cache/tslxc')
const dirOf = (root: TestRoot, name: string): string => join(root.lxcpath, name)
const configOf = (root: TestRoot, name: string): string => readFileSync(join(dirOf(root, name), 'config.yaml'), 'utf8')
const volumeOf = (root: TestRoot, name: string): Volume =>
  (JSON.parse(readFileSync(join(dirOf(root, name), 'volume.json'), 'utf8')) as { volume: Volume }).volume

interface Row {
  readonly name: string
  readonly driver: string
  readonly usedBytes: number
  readonly referencedBytes: number
  readonly limitBytes?: number
  readonly snapshots?: readonly Row[]
}
interface Df {
  readonly containers: readonly Row[]
  readonly shared?: readonly { readonly what: string; readonly count: number; readonly usedBytes: number }[]
  readonly stores: readonly { readonly name: string; readonly type: string; readonly sizeBytes: number; readonly usedBytes: number }[]
  readonly totalUsedBytes: number
}
const df = async (root: TestRoot, ...args: string[]): Promise<Df> => JSON.parse(await root.ok('df', '--json', ...args)) as Df
const rowOf = async (root: TestRoot, name: string): Promise<Row> => {
  const [row] = (await df(root, name)).containers
  if (row === undefined) throw new Error(`df does not show '${name}'`)
  return row
}

/** Inside of a running container, to the end of the disk or of the wish; how many MiB there are then, and what was said. */
async function fill(root: TestRoot, name: string, mebibytes: number): Promise<{ readonly written: number; readonly said: string }> {
  // Not of zeros: a store may keep those nowhere.
  const command = `dd if=/dev/urandom of=/root/data bs=1M count=${mebibytes} 2>&1; sync; ls -l /root/data`
  const said = await root.ok('attach', name, '--', '/bin/sh', '-c', command)
  return { written: Number(/(\d+) \w+ +\d+ [\d:]+ \/root\/data/.exec(said)?.[1]) / MIB, said }
}

async function killAfter(root: TestRoot, ms: number, ...args: string[]): Promise<void> {
  const env = { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: cacheOf(root) }
  const child = spawn(program, args, { stdio: 'ignore', env })
  const end = new Promise((resolve) => child.once('exit', resolve))
  await sleep(ms)
  child.kill('SIGKILL')
  await end
}

/** What was removed is deleted behind the commands. */
async function unmount(path: string): Promise<void> {
  for (let round = 0; ; round++) {
    try {
      execFileSync('umount', [path], { stdio: 'pipe' })
      return
    } catch (error) {
      if (round === 100) throw error
      await sleep(100)
    }
  }
}

interface Store {
  readonly title: string
  readonly missing: string | undefined
  readonly create: readonly string[]
  /** Words that say that the limit was met. */
  readonly full: RegExp
  readonly sizes: { readonly first: number; readonly grown: number }
  /** Why it does not grow while it is in use; absent: it does. */
  readonly staysWhileUsed?: string | undefined
  /** Absent: it does not shrink. */
  readonly shrinks: boolean
}

// CAP_SYS_RESOURCE, which ext4 wants for growing while it is mounted. capabilities(7)
const hasResource = ((BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`) >> 24n) & 1n) === 1n
const lacks = (tool: string): string | undefined => (which(tool) === undefined ? `needs ${tool}` : undefined)
const stores: readonly Store[] = [
  {
    title: 'btrfs',
    missing: lacks('mkfs.btrfs'),
    create: ['-B', 'btrfs'],
    full: /quota exceeded|No space/i,
    sizes: { first: 48, grown: 96 },
    shrinks: true,
  },
  {
    title: 'loop with ext4',
    missing: lacks('mkfs.ext4'),
    create: ['-B', 'loop', '--fstype', 'ext4'],
    full: /No space/i,
    sizes: { first: 48, grown: 96 },
    staysWhileUsed: hasResource ? undefined : 'Operation not permitted',
    shrinks: true,
  },
  {
    title: 'loop with xfs',
    missing: lacks('mkfs.xfs'),
    create: ['-B', 'loop', '--fstype', 'xfs'],
    full: /No space/i,
    sizes: { first: 304, grown: 400 },
    shrinks: false,
  },
  {
    title: 'zfs-fuse',
    missing: lacks('zfs-fuse'),
    // FUSE has no idmapped mounts.
    create: ['-B', 'zfs', '--privileged'],
    full: /quota exceeded|No space/i,
    sizes: { first: 48, grown: 96 },
    shrinks: true,
  },
]

describe.each(stores)('on $title', { timeout: 240_000 }, (store) => {
  const { first, grown } = store.sizes
  let root: TestRoot
  let btrfs: BtrfsPool | undefined
  let zfs: ZfsPool | undefined

  beforeAll(async () => {
    if (store.missing !== undefined) return
    root = makeRoot()
    if (store.title === 'btrfs') {
      btrfs = makeBtrfsPool()
      execFileSync('mount', ['--bind', btrfs.dir, root.path])
      chmodSync(root.path, 0o700)
    }
    if (store.title === 'zfs-fuse') zfs = await makeZfsPool()
    mkdirSync(root.lxcpath, { recursive: true, mode: 0o700 })
    // The limit may stand in an included file too.
    const more = join(root.path, 'limit.yaml')
    writeFileSync(more, `limits: { disk: ${first}M }\n`)
    const config = join(root.path, 'own.yaml')
    writeFileSync(config, `# of a test\nnet: [{ type: empty }]\ninclude: [${more}]\nlimits: { pids: 200 } # stays\n`)
    const where = zfs === undefined ? [] : ['--zfsroot', `${zfs.name}/lxc`]
    await root.ok('create', 'web', '-t', 'busybox', '-f', config, ...store.create, ...where)
  })
  afterAll(async () => {
    if (store.missing !== undefined) return
    await root.tslxc('destroy', '-f', '-s', 'web')
    for (const fingerprint of existsSync(join(root.lxcpath, '.images')) ? readdirSync(join(root.lxcpath, '.images')) : []) {
      if (zfs !== undefined || fingerprint.startsWith('.')) continue
      await root.tslxc('image', 'rm', fingerprint.slice(0, 32))
    }
    await zfs?.remove()
    if (btrfs !== undefined) await unmount(root.path)
    await root.remove()
    btrfs?.remove()
  })

  it('is enforced inside, and more can be written once it has grown', async (context) => {
    needs(context, store.missing === undefined, store.missing ?? '')
    expect(volumeOf(root, 'web').limitBytes).toBe(first * MIB)
    await root.ok('start', 'web')
    const before = await fill(root, 'web', grown)
    expect(before.said).toMatch(store.full)
    expect(before.written).toBeLessThan(first)
    expect(before.written).toBeGreaterThan(first / 5)
    if (store.staysWhileUsed !== undefined) {
      const refused = await root.tslxc('resize', 'web', `${grown}M`)
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(store.staysWhileUsed)])
      expect(refused.stderr).toContain('tslxc stop web')
      expect(volumeOf(root, 'web').limitBytes).toBe(first * MIB)
      expect(configOf(root, 'web')).not.toContain('disk')
      await root.ok('stop', '-k', 'web')
    }
    expect(await root.ok('resize', 'web', `+${grown - first}M`)).toContain(`'web' may hold ${grown}M (${first}M before)`)
    if (store.staysWhileUsed !== undefined) await root.ok('start', 'web')
    expect(volumeOf(root, 'web').limitBytes).toBe(grown * MIB)
    expect(configOf(root, 'web')).toMatch(new RegExp(`^limits: \\{ pids: 200, disk: ${grown}M \\} # stays$`, 'm'))
    const after = await fill(root, 'web', grown)
    expect(after.written).toBeGreaterThan(before.written + (grown - first) / 2)
    expect(after.written).toBeLessThan(grown)
    // and once more than half of it is wanted back, nothing is changed
    const refused = await root.tslxc('resize', 'web', `${Math.round(after.written / 2)}M`)
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/cannot resize 'web' to [\d.]+ MiB: it holds [\d.]+ MiB/)])
    expect(volumeOf(root, 'web').limitBytes).toBe(grown * MIB)
    expect(configOf(root, 'web')).toContain(`disk: ${grown}M`)
    expect((await fill(root, 'web', grown)).written).toBeGreaterThan(first)
    await root.ok('attach', 'web', '--', '/bin/rm', '/root/data')
    await root.ok('stop', '-k', 'web')
  })

  it('edited by hand, is in force at the next start and not before', async (context) => {
    needs(context, store.missing === undefined, store.missing ?? '')
    const file = join(dirOf(root, 'web'), 'config.yaml')
    const wanted = grown + 16
    writeFileSync(file, configOf(root, 'web').replace(`disk: ${grown}M`, `disk: ${wanted}M`))
    await root.ok('ls', '-f')
    expect(volumeOf(root, 'web').limitBytes).toBe(grown * MIB)
    await root.ok('start', 'web')
    expect(volumeOf(root, 'web').limitBytes).toBe(wanted * MIB)
    expect((await rowOf(root, 'web')).limitBytes).toBe(wanted * MIB)
    await root.ok('stop', '-k', 'web')
    // A file that sets it to nothing lifts it, whatever an included one says.
    writeFileSync(file, configOf(root, 'web').replace(`disk: ${wanted}M`, 'disk:'))
    await root.ok('start', 'web')
    expect(volumeOf(root, 'web').limitBytes).toBeUndefined()
    await root.ok('stop', '-k', 'web')
    expect(await root.ok('config', 'set', 'web', 'limits.disk', `${wanted}M`)).toBe('')
    expect(volumeOf(root, 'web').limitBytes).toBe(wanted * MIB)
  })

  it('that the store refuses keeps it from starting, at the line that says it', async (context) => {
    needs(context, store.missing === undefined, store.missing ?? '')
    const file = join(dirOf(root, 'web'), 'config.yaml')
    const before = configOf(root, 'web')
    await root.ok('start', 'web')
    await fill(root, 'web', 30)
    await root.ok('stop', '-k', 'web')
    const record = volumeOf(root, 'web')
    writeFileSync(file, before.replace(/disk: \d+M/, 'disk: 20M'))
    const refused = await root.tslxc('start', 'web')
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/config\.yaml:\d+:\d+: limits\.disk: cannot /)])
    expect(volumeOf(root, 'web')).toEqual(record)
    expect(existsSync(join(dirOf(root, 'web'), 'pending.json'))).toBe(false)
    writeFileSync(file, before)
    await root.ok('start', 'web')
    await root.ok('attach', 'web', '--', '/bin/rm', '/root/data')
    await root.ok('stop', '-k', 'web')
  })

  it('is the same in store, record and configuration after a crash', async (context) => {
    needs(context, store.missing === undefined, store.missing ?? '')
    const from = (volumeOf(root, 'web').limitBytes ?? 0) / MIB
    const started = Date.now()
    await root.ok('resize', 'web', `${from + 8}M`)
    const lengthMs = Date.now() - started
    const seen = new Set<number>()
    for (let round = 0; round < 8; round++) {
      const wanted = from + 16 + round * 8
      await killAfter(root, (lengthMs * (round + 2)) / 9, 'resize', 'web', `${wanted}M`)
      // Whoever takes the lock makes up for it.
      await root.ok('config', 'set', 'web', 'limits.pids', String(300 + round))
      const said = Number(/disk: (\d+)M/.exec(configOf(root, 'web'))?.[1])
      expect(volumeOf(root, 'web').limitBytes).toBe(said * MIB)
      expect((await rowOf(root, 'web')).limitBytes).toBe(said * MIB)
      expect(readdirSync(dirOf(root, 'web')).filter((entry) => /pending|\.new$|\.tmp$/.test(entry))).toEqual([])
      seen.add(said)
    }
    expect(seen.size).toBeGreaterThan(1)
    if (store.shrinks) await root.ok('resize', 'web', `-${8}M`)
    await root.ok('start', 'web')
    await root.ok('stop', '-k', 'web')
  })

  it('stands in df beside what is used', async (context) => {
    needs(context, store.missing === undefined, store.missing ?? '')
    const limit = volumeOf(root, 'web').limitBytes ?? 0
    await root.ok('snapshot', 'web')
    await root.ok('start', 'web')
    const { referencedBytes: before } = await rowOf(root, 'web')
    await fill(root, 'web', 12)
    await root.ok('stop', '-k', 'web')
    // ZFS counts what has reached the pool, seconds later, or when a property is set.
    zfs?.zfs('set', 'tslxc:test=1', volumeOf(root, 'web').path)
    for (let round = 0; round < 50 && (await rowOf(root, 'web')).referencedBytes - before < 11 * MIB; round++) await sleep(200)
    const { containers, stores: found, totalUsedBytes } = await df(root, '-s')
    const [row] = containers
    expect(containers).toHaveLength(1)
    expect(row).toMatchObject({ name: 'web', limitBytes: limit, snapshots: [{ name: 'web@snap0' }] })
    const { usedBytes = 0, referencedBytes = 0, snapshots = [] } = row ?? {}
    expect(referencedBytes - before).toBeGreaterThan(11 * MIB)
    expect(referencedBytes - before).toBeLessThan(16 * MIB)
    expect(usedBytes).toBeGreaterThan(11 * MIB)
    expect(referencedBytes).toBeLessThan(limit)
    expect(snapshots[0]?.referencedBytes).toBeLessThan(referencedBytes - 10 * MIB)
    expect(totalUsedBytes).toBeGreaterThanOrEqual(usedBytes)
    for (const { sizeBytes, usedBytes: inUse } of found) expect(inUse).toBeLessThanOrEqual(sizeBytes)
    if (zfs !== undefined) expect(found.map(({ type }) => type)).toContain('zpool')
    expect(await root.ok('df', '-s')).toMatch(/^NAME .*\nweb .*%\n {2}web@snap0 .*\n(\(.*\n)*total .*\n\nSTORE /)
    await root.ok('snapshot', '-d', 'ALL', 'web')
  })
})

describe('where no limit can be enforced', { timeout: 120_000 }, () => {
  let root: TestRoot
  beforeAll(async () => {
    root = makeRoot()
    await root.createBusybox('dir')
    await root.createBusybox('over', '-B', 'overlay')
  })
  afterAll(async () => {
    for (const name of ['dir', 'over', 'gone', 'foreign']) await root.tslxc('destroy', '-f', name)
    await root.remove()
  })

  it.each(['dir', 'over'])('%s: it is refused with the reason, and nothing is written', async (name) => {
    const hasQuota = execFileSync('findmnt', ['-no', 'OPTIONS', '-T', root.path], { encoding: 'utf8' }).includes('prjquota')
    expect(hasQuota).toBe(false)
    const before = configOf(root, name)
    const resized = await root.tslxc('resize', name, '1G')
    expect([resized.code, resized.stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^tslxc resize: cannot resize '${name}': .*quota.*\n  hint: `)),
    ])
    const set = await root.tslxc('config', 'set', name, 'limits.disk', '1G')
    expect([set.code, set.stderr]).toEqual([1, expect.stringMatching(/config\.yaml:\d+:\d+: limits\.disk: .*quota/)])
    expect(configOf(root, name)).toBe(before)
    appendFileSync(join(dirOf(root, name), 'config.yaml'), 'limits: { disk: 1G }\n')
    const started = await root.tslxc('start', name)
    expect([started.code, started.stderr]).toEqual([1, expect.stringMatching(/config\.yaml:\d+:\d+: limits\.disk: .*quota[\s\S]*hint: /)])
    // Other keys can be changed all the same, and it can be taken back.
    await root.ok('config', 'set', name, 'limits.pids', '100')
    await root.ok('config', 'unset', name, 'limits.disk')
    await root.ok('start', name)
    await root.ok('stop', '-k', name)
  })

  it('refuses sizes that are none', async () => {
    for (const size of ['0', 'much', '+', '-x', '1.5X']) {
      const told = await root.tslxc('resize', 'dir', '--', size)
      expect([told.code, told.stderr]).toEqual([
        1,
        `tslxc resize: cannot read the size '${size}'\n  hint: for example 20G, +5G, -5G or none\n`,
      ])
    }
    expect((await root.tslxc('resize', 'dir', '+1G')).stderr).toContain("cannot resize 'dir' by a difference: it has no limit")
  })

  it('does not resize what a person put there', async () => {
    const tree = join(root.path, 'tree')
    await root.createBusybox('foreign')
    renameSync(join(dirOf(root, 'foreign'), 'rootfs'), tree)
    await root.ok('config', 'set', 'foreign', 'rootfs.path', tree)
    await root.ok('config', 'set', 'foreign', 'limits.pids', '100')
    appendFileSync(join(dirOf(root, 'foreign'), 'config.yaml'), '')
    writeFileSync(join(dirOf(root, 'foreign'), 'config.yaml'), configOf(root, 'foreign').replace(/^limits:.*$/m, 'limits: { disk: 1G }'))
    const started = await root.tslxc('start', 'foreign')
    expect([started.code, started.stderr]).toEqual([
      1,
      expect.stringContaining('limits.disk: rootfs.path leads to what was not made with this container'),
    ])
  })

  it('copies a limited container without its limit, and says so', async () => {
    await root.ok('create', '-q', 'limited', '-t', 'busybox', '-f', join(root.path, 'no-network.yaml'), '-B', 'loop', '--fssize', '64M')
    await root.ok('resize', 'limited', '64M')
    const told = await root.tslxc('copy', '-B', 'dir', 'limited', 'free')
    expect([told.code, told.stderr]).toEqual([0, expect.stringContaining('the copy has no limits.disk: ')])
    await root.ok('start', 'free')
    await root.ok('destroy', '-f', 'free')
    await root.ok('copy', 'limited', 'twin')
    expect(volumeOf(root, 'twin').limitBytes).toBe(64 * MIB)
    await root.ok('start', 'twin')
    await root.ok('destroy', '-f', 'twin')
    await root.ok('destroy', 'limited')
  })

  it('shows one that can not be measured, the others all the same', async () => {
    await root.createBusybox('gone')
    renameSync(join(dirOf(root, 'gone'), 'rootfs'), join(root.path, 'away'))
    const told = await root.tslxc('df', '--json', 'gone', 'dir')
    renameSync(join(root.path, 'away'), join(dirOf(root, 'gone'), 'rootfs'))
    expect(told.code).toBe(1)
    const [dir, gone] = (JSON.parse(told.stdout) as Df).containers
    expect(dir).toMatchObject({ name: 'dir', driver: 'dir' })
    expect(gone).toMatchObject({ name: 'gone', driver: 'dir', error: { message: expect.stringContaining('gone/rootfs') } })
    const many = await df(root, 'd*', '{over,gone}')
    expect(many.containers.map(({ name }) => name)).toEqual(['dir', 'gone', 'over'])
    expect(many.shared).toBeUndefined()
    const all = await df(root)
    expect(all.shared?.find(({ what }) => what === 'layers')?.count).toBeGreaterThan(0)
  })
})
