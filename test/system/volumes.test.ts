/** Data volumes: made when needed, kept or gone with their container, shared, snapshotted and restored; refusals; kill -9. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

interface Shown {
  readonly name: string
  readonly keep?: boolean
  readonly size?: number
  readonly volume: { readonly driver: string; readonly path: string }
  readonly users: readonly { readonly name: string }[]
  readonly snapshots: readonly string[]
}

/** Of the container, and of a volume that says nothing, or something. */
const STORES = [
  { container: 'dir', said: '', made: 'dir' },
  { container: 'btrfs', said: '', made: 'btrfs' },
  { container: 'overlay', said: '', made: 'dir' },
  { container: 'dir', said: 'driver=loop,size=32M', made: 'loop' },
] as const

expectNoLeaks()

let root: TestRoot
let pool: BtrfsPool | undefined
let lxcpath: string
const tslxc = (verb: string, ...args: string[]) => root.tslxc(...verb.split(' '), '-P', lxcpath, ...args)
const ok = (verb: string, ...args: string[]) => root.ok(...verb.split(' '), '-P', lxcpath, ...args)
const inside = (name: string, command: string) => ok('attach', name, '--', 'sh', '-c', command)
const refused = async (verb: string, ...args: string[]) => {
  const { code, stderr } = await tslxc(verb, ...args)
  expect(code).not.toBe(0)
  return stderr
}
const volumes = async () => JSON.parse(await ok('volume ls', '--json')) as Shown[]
const places = () => (existsSync(join(lxcpath, '.volumes')) ? readdirSync(join(lxcpath, '.volumes')) : [])
const namesIn = (dir: string) => (existsSync(dir) ? readdirSync(dir).filter((name) => !name.startsWith('.')) : [])

async function create(name: string, storage: string, ...lines: string[]): Promise<void> {
  const config = join(root.path, 'with-volumes.yaml')
  writeFileSync(config, ['net: [{ type: empty }]', ...lines, ''].join('\n'))
  await ok('create', name, '-t', 'busybox', '-f', config, '-B', storage)
}

async function removeAll(): Promise<void> {
  for (const name of namesIn(lxcpath)) await tslxc('destroy', '-f', '-s', name)
  for (const { name } of await volumes()) await ok('volume destroy', '-f', '-s', name)
}

describe.each(STORES)('in a container on $container, volumes on $made', { timeout: 240_000 }, ({ container, said, made }) => {
  const option = said === '' ? '' : `:${said}`
  const keep = said === '' ? ':keep' : `:keep,${said}`
  beforeAll(() => {
    root = makeRoot({ ownCache: true })
    pool = container === 'btrfs' ? makeBtrfsPool() : undefined
    lxcpath = pool === undefined ? root.lxcpath : join(pool.dir, 'lxc')
    mkdirSync(lxcpath, { recursive: true, mode: 0o700 })
  })
  afterEach(removeAll)
  afterAll(async () => {
    await tslxc('image', 'rm', '--all')
    await root.remove()
    pool?.remove()
  })

  it('is made at the first start, goes with its container, and is in no snapshot of it', async () => {
    await create('web', container, `volumes: ["web-data:/srv/data${option}"]`)
    expect(await volumes()).toEqual([])
    await ok('start', 'web')
    const [found] = await volumes()
    expect(found).toMatchObject({
      name: 'web-data',
      volume: { driver: made },
      users: [{ name: 'web', isRunning: true, target: '/srv/data' }],
    })
    expect(await inside('web', 'ls -ldn /srv/data')).toMatch(/^drwxr-xr-x +\d+ 0 +0 /)
    expect(await inside('web', 'grep " /srv/data " /proc/mounts')).toMatch(/rw,nosuid,nodev/)
    await inside('web', 'echo one > /srv/data/file; echo one > /root/file; chown 1000:1000 /srv/data/file')
    await ok('snapshot', 'web', 'before')
    await inside('web', 'echo two > /srv/data/file; echo two > /root/file')
    await ok('stop', '-k', 'web')
    await ok('snapshot', '-r', 'before', 'web')
    await ok('start', 'web')
    expect(await inside('web', 'cat /root/file /srv/data/file; ls -n /srv/data/file')).toMatch(/^one\ntwo\n-rw-r--r-- +1 1000 +1000 /)
    await ok('destroy', '-f', '-s', 'web')
    expect([await volumes(), places()]).toEqual([[], []])
  })

  it('outlives its container when it is to be kept; another id range sees the same; read-only is', async () => {
    await create('web', container, `volumes: ["data:/srv/data${keep}"]`)
    await ok('start', 'web')
    await inside('web', 'echo mine > /srv/data/file; chown 33:33 /srv/data/file')
    const { stderr } = await tslxc('destroy', '-f', 'web')
    expect(stderr).toMatch(/volume 'data' stays: it is to be kept/)
    expect(await volumes()).toMatchObject([{ name: 'data', keep: true, users: [] }])
    // Takes the range that is free again, so that the second has another one.
    await create('first', container)
    await create('db', container, 'volumes: [{volume: data, target: /data, readonly: yes}]')
    await ok('start', 'db')
    expect(await inside('db', 'cat /data/file; ls -n /data/file; touch /data/x 2>&1 || true')).toMatch(
      /^mine\n-rw-r--r-- +1 33 +33 .*\n.*Read-only file system/,
    )
    const range = (name: string) => /b 0 (\d+)/.exec(readFileSync(join(lxcpath, name, 'config.yaml'), 'utf8'))?.[1]
    expect(range('first')).not.toBe(range('db'))
  })

  it('has snapshots of its own, also of what runs; each can be restored', async () => {
    await create('web', container, `volumes: ["data:/srv/data${option}"]`)
    await ok('start', 'web')
    await inside('web', 'echo one > /srv/data/file')
    expect(await ok('volume snapshot', 'data', 'first', '--note', 'clean')).toBe('took snapshot first of volume data\n')
    await inside('web', 'echo two > /srv/data/file')
    await ok('volume snapshot', 'data')
    expect(await refused('volume restore', 'data', 'first')).toMatch(/cannot restore volume 'data': web runs with it\n.*tslxc stop web/s)
    expect(await refused('volume destroy', 'data')).toMatch(/cannot destroy volume 'data': web runs with it/)
    await ok('stop', '-k', 'web')
    for (const [snapshot, content] of [
      ['first', 'one\n'],
      ['snap0', 'two\n'],
      ['first', 'one\n'],
    ] as const) {
      await ok('volume restore', 'data', snapshot)
      await ok('start', 'web')
      expect(await inside('web', 'cat /srv/data/file')).toBe(content)
      await ok('stop', '-k', 'web')
    }
    expect(await refused('volume snapshot', 'data', 'first')).toMatch(/snapshot 'first' of volume 'data': it already exists/)
    expect(await refused('volume restore', 'data', 'none')).toMatch(/there is first, snap0/)
    await ok('volume snapshot', '-d', 'first', 'data')
    expect((await tslxc('destroy', 'web')).stderr).toMatch(/volume 'data' stays: it has snapshots/)
    expect(await refused('volume destroy', 'data')).toMatch(/it has snapshots \(snap0\)\n.*--snapshots data/s)
    await ok('volume destroy', '-s', 'data')
    expect(places()).toEqual([])
  })
})

describe('on dir', { timeout: 240_000 }, () => {
  beforeAll(() => {
    root = makeRoot()
    lxcpath = root.lxcpath
    mkdirSync(lxcpath, { recursive: true, mode: 0o700 })
  })
  afterEach(removeAll)
  afterAll(() => root.remove())

  it('two containers have one; it goes with the last', async () => {
    await create('a', 'dir', 'volumes: ["both:/srv/both"]')
    await create('b', 'dir', 'volumes: ["both:/both"]')
    await Promise.all([ok('start', 'a'), ok('start', 'b')])
    await inside('a', 'echo a > /srv/both/file; chown 7:7 /srv/both/file')
    expect(await inside('b', 'cat /both/file; ls -n /both/file')).toMatch(/^a\n-rw-r--r-- +1 7 +7 /)
    expect((await tslxc('destroy', '-f', 'a')).stderr).toMatch(/volume 'both' stays: b uses it/)
    expect(await inside('b', 'cat /both/file')).toBe('a\n')
    await ok('destroy', '-f', 'b')
    expect(places()).toEqual([])
  })

  it('one that an edit adds is made at the next start, also one of start -s; what a person made stays', async () => {
    await create('web', 'dir')
    await ok('volume create', 'mine')
    await ok('config set', 'web', 'volumes', '["mine:/srv/mine", "new:/srv/new"]')
    await ok('start', 'web')
    expect((await inside('web', 'ls /srv')).trim().split('\n')).toEqual(['mine', 'new'])
    await ok('stop', '-k', 'web')
    await ok('start', '-s', 'volumes=["other:/srv/other"]', 'web')
    expect(await inside('web', 'ls -d /srv/other')).toBe('/srv/other\n')
    await ok('destroy', '-f', 'web')
    expect((await volumes()).map(({ name }) => name)).toEqual(['mine', 'other'])
  })

  it('holds a loop device to its size, and grows it', async () => {
    await create('web', 'dir', 'volumes: [{volume: data, target: /srv/data, driver: loop, size: 32M}]')
    await ok('start', 'web')
    expect((await tslxc('attach', 'web', '--', 'sh', '-c', 'dd if=/dev/zero of=/srv/data/fill bs=1M count=40')).code).not.toBe(0)
    // While it is mounted ext4 grows only for root with CAP_SYS_RESOURCE, which not every test machine has.
    await ok('stop', '-k', 'web')
    await ok('volume resize', 'data', '64M')
    await ok('start', 'web')
    await inside('web', 'dd if=/dev/zero of=/srv/data/fill bs=1M count=40 2>/dev/null')
    expect(JSON.parse(await ok('volume show', '--json', 'data'))).toMatchObject({ size: 64 * 1024 * 1024 })
  })

  it('says what is wrong, with line and column', async () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['["data:srv"]', /an absolute path is expected, not 'srv'/],
      ['["data"]', /'data' is no data volume/],
      ['["data:/"]', /'\/' can not be the place of a data volume/],
      ['["data:/a/../b"]', /can not be the place/],
      ['["a b:/srv"]', /can not be the name of a data volume/],
      ['["data:/srv:fast"]', /'fast' is no option of a data volume/],
      ['["data:/srv:driver=overlay"]', /'overlay' is no storage for a data volume/],
      ['[{volume: data}]', /needs volume and target/],
      ['[{volume: data, target: /srv, colour: red}]', /'colour' is no key of a data volume/],
      ['[{volume: data, target: /srv, size: 5 apples}]', /'5 apples' is no size/],
      ['["a:/srv", "b:/srv/"]', /two data volumes are to be at '\/srv'/],
      ['["a:/srv", "a:/other"]', /'a' stands here twice/],
    ]
    for (const [value, reason] of wrong) {
      const config = join(root.path, 'wrong.yaml')
      writeFileSync(config, `net: [{ type: empty }]\nvolumes: ${value}\n`)
      const { code, stderr } = await tslxc('create', 'x', '-t', 'busybox', '-f', config)
      expect([code, stderr], value).toEqual([1, expect.stringMatching(reason)])
      expect(stderr, value).toMatch(/wrong\.yaml:2:/)
    }
    await create('web', 'dir', 'volumes: ["data:/srv:driver=zfs"]')
    expect(await refused('start', 'web')).toMatch(/zfs/)
    expect(places()).toEqual([])
  })

  it('refuses names that are taken or none', async () => {
    await ok('volume create', 'data')
    expect(await refused('volume create', 'data')).toMatch(/cannot create volume 'data': it already exists/)
    expect(await refused('volume create', '../x')).toMatch(/cannot use the volume name '..\/x'/)
    expect(await refused('volume create', 'tiny', '--size', '5')).toMatch(/too little for a data volume/)
    expect(await refused('volume show', 'date')).toMatch(/there is no such volume\n.*did you mean 'data'/s)
    mkdirSync(join(lxcpath, '.volumes/foreign/things'), { recursive: true })
    expect(await refused('volume create', 'foreign')).toMatch(/holds files and no volume.yaml/)
    await create('web', 'dir', 'volumes: ["foreign:/srv"]')
    expect(await refused('start', 'web')).toMatch(/holds files and no volume.yaml/)
    expect(existsSync(join(lxcpath, '.volumes/foreign/things'))).toBe(true)
    await create('db', 'dir', 'volumes: ["data:/srv"]')
    expect(await refused('volume destroy', 'data')).toMatch(/it belongs to db\n.*--force data/s)
  })
})

describe('kill -9', { timeout: 240_000 }, () => {
  const begin = (...args: string[]): ChildProcess =>
    spawn(program, args, { stdio: 'ignore', env: { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: process.env.TSLXC_TEST_CACHE } })
  async function killAfter(ms: number, ...args: string[]): Promise<void> {
    const child = begin(...args)
    const end = once(child, 'exit')
    await sleep(ms)
    child.kill('SIGKILL')
    await end
  }
  const delays = (longestMs: number) => Array.from({ length: 12 }, (_, index) => (index / 11) * longestMs)

  beforeAll(() => {
    root = makeRoot()
    lxcpath = root.lxcpath
    mkdirSync(lxcpath, { recursive: true, mode: 0o700 })
  })
  afterEach(removeAll)
  afterAll(() => root.remove())

  it('in the middle of making one leaves none, or a whole one, and the next makes it', async () => {
    for (const ms of delays(350)) {
      await killAfter(ms, 'volume', 'create', 'data', '-B', 'loop', '--size', '32M')
      const [found] = await volumes()
      if (found === undefined) await ok('volume create', 'data', '-B', 'loop', '--size', '32M')
      const [whole] = await volumes()
      expect(whole, `${ms} ms`).toMatchObject({ name: 'data', volume: { driver: 'loop' } })
      expect(lstatSync(whole?.volume.path ?? '').size).toBe(32 * 1024 * 1024)
      await ok('volume destroy', 'data')
      expect(places()).toEqual([])
    }
  })

  it('in the middle of a restore leaves the old content or the new', async () => {
    await create('web', 'dir', 'volumes: ["data:/srv/data"]')
    await ok('start', 'web')
    await inside('web', 'for i in 1 2 3 4 5 6 7 8 9; do echo one > /srv/data/$i; done')
    await ok('volume snapshot', 'data', 'one')
    await inside('web', 'for i in 1 2 3 4 5 6 7 8 9; do echo two > /srv/data/$i; done')
    await ok('volume snapshot', 'data', 'two')
    await ok('stop', '-k', 'web')
    for (const [index, ms] of delays(250).entries()) {
      await killAfter(ms, 'volume', 'restore', 'data', index % 2 === 0 ? 'one' : 'two')
      // A start finishes it as any command would.
      await ok('start', 'web')
      expect(['one', 'two']).toContain([...new Set((await inside('web', 'cat /srv/data/*')).trim().split('\n'))].join())
      await ok('stop', '-k', 'web')
      expect(readdirSync(join(lxcpath, '.volumes/data')).sort()).toEqual(['data', 'snaps', 'volume.json', 'volume.yaml'])
    }
  })

  it('in the middle of destroying leaves what the next call finishes', async () => {
    for (const ms of delays(250)) {
      await create('web', 'dir', 'volumes: ["data:/srv/data"]')
      await ok('start', 'web')
      await ok('stop', '-k', 'web')
      await killAfter(ms, 'destroy', 'web')
      await tslxc('destroy', 'web')
      expect([namesIn(lxcpath), places()], `${ms} ms`).toEqual([[], []])
    }
  })
})
