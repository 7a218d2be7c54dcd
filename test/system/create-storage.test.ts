/** create -B: each storage from its options to a start, what is refused, and images as clones in the store. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

interface Made {
  readonly rootfs: string
  readonly storage: {
    readonly driver: string
    readonly path: string
    readonly why?: string
    readonly passedOver: readonly { readonly driver: string; readonly reason: string }[]
  }
}
interface OverlayRecord {
  readonly volume: { readonly driver: string; readonly lowers: readonly string[]; readonly upper: string }
}
interface Listed {
  readonly fingerprint: string
  readonly about: string
  readonly stores: readonly string[]
}

let root: TestRoot
let pool: BtrfsPool
let config = ''

expectNoLeaks()
beforeAll(() => {
  root = makeRoot({ ownCache: true })
  pool = makeBtrfsPool()
  mkdirSync(join(pool.dir, 'lxc'), { mode: 0o700 })
  config = join(root.path, 'no-network.yaml')
  writeFileSync(config, 'net: [{ type: empty }]\n')
})
afterAll(async () => {
  for (const name of namesIn(join(pool.dir, 'lxc'))) await root.tslxc('destroy', '-f', '-P', join(pool.dir, 'lxc'), name)
  await root.tslxc('image', 'rm', '--all', '-P', join(pool.dir, 'lxc'))
  await root.remove()
  pool.remove()
})
afterEach(async () => {
  for (const name of namesIn(root.lxcpath)) await root.tslxc('destroy', '-f', name)
})

const namesIn = (dir: string) => (existsSync(dir) ? readdirSync(dir).filter((name) => !name.startsWith('.')) : [])
const create = async (name: string, ...options: string[]) =>
  JSON.parse(await root.ok('create', name, '-t', 'busybox', '-f', config, '--json', ...options)) as Made
const recordOf = (lxcpath: string, name: string) => JSON.parse(readFileSync(join(lxcpath, name, 'volume.json'), 'utf8')) as OverlayRecord
const layers = () => namesIn(join(root.lxcpath, '.layers')).filter((name) => name !== 'empty')
const copies = (lxcpath = root.lxcpath) => namesIn(join(lxcpath, '.images'))
const refused = async (...options: string[]) => {
  const { code, stderr } = await root.tslxc('create', 'x', '-t', 'busybox', '-f', config, ...options)
  expect(code).toBe(1)
  expect(existsSync(join(root.lxcpath, 'x'))).toBe(false)
  return stderr
}

describe('overlay', () => {
  it('is a clone of the image, over one layer that all share, and starts unprivileged', async () => {
    const first = await create('one', '-B', 'overlay')
    expect(first.storage).toMatchObject({ driver: 'overlay', passedOver: [] })
    await create('two', '-B', 'overlayfs')
    const [one, two] = ['one', 'two'].map((name) => recordOf(root.lxcpath, name).volume)
    expect(one?.lowers).toEqual(two?.lowers)
    expect(layers()).toHaveLength(1)
    expect(copies()).toHaveLength(1)
    // Nothing but what dressing wrote.
    expect(namesIn(one?.upper ?? '')).not.toContain('bin')
    await root.ok('start', 'one')
    const inside = ['attach', 'one', '--', 'sh', '-c']
    expect(
      await root.ok(...inside, 'echo own > /etc/own; rm /bin/ash; stat -c %u /etc/own; awk "{print \\$2}" /proc/self/uid_map'),
    ).toMatch(/^0\n1000000\n$/m)
    await root.ok('stop', '-k', 'one')
    expect(lstatSync(join(one?.upper ?? '', 'etc/own')).uid).toBe(0)
    expect(lstatSync(join(one?.upper ?? '', 'bin/ash')).isCharacterDevice()).toBe(true)
    await root.ok('start', 'two')
    expect(await root.ok('attach', 'two', '--', 'sh', '-c', 'ls /bin/ash; ls /etc/own || true')).toBe('/bin/ash\n')
  })

  it('keeps the layer while a container stands on it, though the image is removed', async () => {
    await create('one', '-B', 'overlay')
    const image = (JSON.parse(await root.ok('image', 'ls', '--json')) as Listed[]).find(({ about }) => about === 'busybox')
    expect(image?.stores).toEqual(['overlay'])
    await root.ok('image', 'rm', image?.fingerprint ?? '')
    expect(copies()).toEqual([])
    expect(layers()).toHaveLength(1)
    await root.ok('start', 'one')
    await root.ok('stop', '-k', 'one')
    await root.ok('destroy', 'one')
    expect(layers()).toEqual([])
    await root.ok('image', 'fetch', 'busybox')
  })

  it('makes another copy of a refreshed image, and removes the old when nobody needs it', async () => {
    const own = { env: { TSLXC_CACHE: join(root.path, 'own-cache') } }
    const made = (name: string, ...words: string[]) =>
      root.tslxcWith(own, 'create', name, '-t', 'busybox', '-f', config, '-B', 'overlay', ...words)
    await made('one')
    const [before = ''] = copies()
    // The times of its files are part of an image: a second fetch is another content.
    await sleep(1100)
    expect((await made('two', '-F')).code).toBe(0)
    const [after = '', ...more] = copies()
    expect(more).toEqual([])
    expect(after === before).toBe(recordOf(root.lxcpath, 'one').volume.lowers[0] === recordOf(root.lxcpath, 'two').volume.lowers[0])
    await root.ok('image', 'rm', '--all')
  })

  it('prepares the image once, however many creates there are', async () => {
    await root.tslxc('image', 'rm', '--all')
    await root.ok('image', 'fetch', 'busybox')
    const names = ['a', 'b', 'c', 'd']
    const outcomes = await Promise.all(names.map((name) => root.tslxc('create', name, '-t', 'busybox', '-f', config, '-B', 'overlay')))
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(outcomes.filter(({ stderr }) => stderr.includes('preparing the image for overlay'))).toHaveLength(1)
    expect(layers()).toHaveLength(1)
  })

  it('killed while it prepares the image, leaves what the next create sweeps', async () => {
    await root.ok('image', 'fetch', 'busybox')
    const env = { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: root.cache, NODE_EXTRA_CA_CERTS: '' }
    for (let round = 0; round < 8; round++) {
      rmSync(join(root.lxcpath, '.images'), { recursive: true, force: true })
      const child = spawn(program, ['create', 'cut', '-t', 'busybox', '-f', config, '-B', 'overlay'], {
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const said = new Promise<void>((resolve) => child.stderr.on('data', (text: Buffer) => text.includes('preparing') && resolve()))
      await Promise.race([said, once(child, 'close')])
      await sleep(round * 6)
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
      const again = await root.tslxc('create', 'cut', '-t', 'busybox', '-f', config, '-B', 'overlay')
      expect(again.code === 0 || again.stderr.includes('Container already exists')).toBe(true)
      expect(copies()).toHaveLength(1)
      expect(existsSync(join(root.lxcpath, '.images', copies()[0] ?? '', 'creating.json'))).toBe(false)
      await root.ok('destroy', 'cut')
      await root.tslxc('image', 'rm', '--all')
      await root.ok('image', 'fetch', 'busybox')
      // The copies of the rounds before were removed by hand, with what they held.
      for (const name of layers()) rmSync(join(root.lxcpath, '.layers', name), { recursive: true })
    }
  }, 120_000)
})

describe('btrfs', () => {
  const lxc = () => join(pool.dir, 'lxc')

  it('is what best takes where it can, and a clone that shares its extents', async () => {
    const made = await create('web', '-B', 'best', '-P', lxc())
    expect(made.storage).toMatchObject({ driver: 'btrfs', why: expect.stringContaining('share') as string, passedOver: [] })
    expect(pool.subvolumes().some((path) => path === 'lxc/web/rootfs')).toBe(true)
    expect(copies(lxc())).toEqual([expect.stringMatching(/-btrfs$/)])
    const second = await root.tslxc('create', 'db', '-t', 'busybox', '-f', config, '-B', 'btrfs', '-P', lxc())
    expect(second).toMatchObject({ code: 0 })
    expect(second.stderr).not.toMatch(/preparing|copying/)
    await root.ok('start', '-P', lxc(), 'db')
    expect(await root.ok('attach', '-P', lxc(), 'db', '--', 'hostname')).toBe('db\n')
    await root.ok('stop', '-k', '-P', lxc(), 'db')
  })

  it('gets the limit of the configuration', async () => {
    const limited = join(root.path, 'limited.yaml')
    writeFileSync(limited, 'net: [{ type: empty }]\nlimits: { disk: 32M }\n')
    const out = await root.ok('create', 'small', '-t', 'busybox', '-f', limited, '-B', 'btrfs', '-P', lxc())
    expect(out).toMatch(/storage +btrfs, 32M at most\n/)
    await root.ok('start', '-P', lxc(), 'small')
    const { code, stderr } = await root.tslxc(
      'attach',
      '-P',
      lxc(),
      'small',
      '--',
      'sh',
      '-c',
      'dd if=/dev/urandom of=/big bs=1M count=64 && sync',
    )
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/quota|space/i)
    await root.ok('stop', '-k', '-P', lxc(), 'small')
  })
})

describe('loop', () => {
  it('clones an image of the usual size, and makes it as large as was asked for', async () => {
    const lxc = join(pool.dir, 'lxc')
    const made = await create('large', '-B', 'loop', '--fssize', '2G', '-P', lxc)
    expect(copies(lxc)).toContainEqual(expect.stringMatching(/-loop-/))
    const [image = ''] = copies(lxc).filter((name) => name.includes('-loop-'))
    expect(lstatSync(join(lxc, '.images', image, 'rootdev')).size).toBe(2 ** 30)
    expect(lstatSync(made.rootfs).size).toBe(2 ** 31)
    await root.ok('start', '-P', lxc, 'large')
    const df = await root.ok('attach', '-P', lxc, 'large', '--', 'df', '-k', '/')
    expect(Number(df.trim().split('\n').at(-1)?.split(/\s+/)[1])).toBeGreaterThan(1_800_000)
    await root.ok('stop', '-k', '-P', lxc, 'large')
  })

  it('refuses a device that is too small for the image', async () => {
    expect(await refused('-B', 'loop', '--fssize', '1M')).toMatch(
      /^tslxc create: cannot put the image 'busybox' on a device of 1\.00 MiB: the content has \d.*\n {2}hint: make it \d+ MiB at least/m,
    )
  })
})

describe('the choice', () => {
  it('best says what, why, and why not the others', async () => {
    const { code, stderr, stdout } = await root.tslxc('create', 'web', '-t', 'busybox', '-f', config, '-B', 'best')
    expect(code).toBe(0)
    expect(stderr).toMatch(/^storage: overlay \(clones and snapshots share what they have in common; btrfs: .* is not on btrfs/m)
    expect(stdout).toMatch(/ {2}storage +overlay /)
  })

  it('takes the first of a list that can', async () => {
    const made = await create('web', '-B', 'btrfs,none')
    expect(made.storage).toMatchObject({ driver: 'dir', passedOver: [{ driver: 'btrfs' }] })
    expect(made.rootfs).toBe(join(root.lxcpath, 'web/rootfs'))
  })

  it('is that of tslxc.yaml where nobody says another', async () => {
    const settings = join(root.path, 'etc/tslxc/tslxc.yaml')
    mkdirSync(join(root.path, 'etc/tslxc'), { recursive: true })
    writeFileSync(settings, 'storage: { default: overlay, zfs: { root: tank/ct }, lvm: { thin_pool: fast } }\nbdev: { lvm: { vg: vg0 } }\n')
    try {
      expect((await create('web')).storage.driver).toBe('overlay')
      expect((await create('plain', '-B', 'dir')).storage.driver).toBe('dir')
      const keys = ['lxc.bdev.zfs.root', 'lxc.bdev.lvm.vg', 'bdev.lvm.thin_pool']
      expect(await Promise.all(keys.map((key) => root.ok('config', key)))).toEqual(['tank/ct\n', 'vg0\n', 'fast\n'])
      writeFileSync(settings, 'storage: { size: lots }\n')
      expect(await refused()).toContain("tslxc.yaml:1:18: storage.size: 'lots' is no size")
    } finally {
      rmSync(settings)
    }
    expect(await root.ok('config', 'lxc.bdev.zfs.root')).toBe('lxc\n')
  })

  it.each([
    [['-B', 'rbd'], "cannot use the backing storage 'rbd': it is not supported"],
    [['-B', 'nfs'], "cannot use the backing storage 'nfs': there is dir, "],
    [['-B', ''], "cannot use the backing storage '': there is dir, "],
    [['-B', 'btrfs'], "cannot use the backing storage 'btrfs': "],
    [['-B', 'dir', '--fssize', '2G'], "cannot use --fssize with the backing storage 'dir': it is for lvm and loop"],
    [['-B', 'overlay', '--zfsroot', 'tank'], "cannot use --zfsroot with the backing storage 'overlay': it is for zfs"],
    [['-B', 'btrfs', '--dir', '/srv/x'], "cannot use --dir with the backing storage 'btrfs': it is for dir"],
    [['--vgname', 'vg0'], "cannot use --vgname with the backing storage 'dir': it is for lvm"],
    [['-B', 'lvm', '--fssize', '2X'], "cannot use --fssize '2X': it is not N[bBkKmMgGtT]"],
    [['-B', 'lvm', '--fssize', '0'], "cannot use --fssize '0'"],
    [['-B', 'lvm', '--fstype', 'ntfs'], "cannot use --fstype 'ntfs': there is ext4, xfs, btrfs"],
    [['-B', 'lvm', '--vgname', '-x'], "cannot use --vgname '-x'"],
    [['-B', 'lvm', '--lvname', 'a/b'], "cannot use --lvname 'a/b'"],
    [['-B', 'lvm', '--thinpool', '..'], "cannot use --thinpool '..'"],
    [['-B', 'best', '--zfsroot', 'tank//x'], "cannot use --zfsroot 'tank//x'"],
  ])('%s is refused', async (options, message) => {
    expect(await refused(...options)).toContain(message)
  })

  it('refuses a limit that nobody can enforce, before anything is fetched', async () => {
    const limited = join(root.path, 'limited.yaml')
    writeFileSync(limited, 'net: [{ type: empty }]\nlimits: { disk: 32M }\n')
    const own = { env: { TSLXC_CACHE: join(root.path, 'empty-cache') } }
    for (const storage of ['dir', 'overlay,dir']) {
      const { code, stderr } = await root.tslxcWith(own, 'create', 'x', '-t', 'busybox', '-f', limited, '-B', storage)
      expect(code).toBe(1)
      expect(stderr).toMatch(/limits\.disk can't be enforced: project quota is off|limits\.disk can't be enforced: .*quota/)
      expect(stderr).toContain('hint: ')
    }
    expect(existsSync(join(root.path, 'empty-cache/images'))).toBe(false)
  })
})
