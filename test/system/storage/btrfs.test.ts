/** What is special to btrfs: subvolumes inside, qgroups, foreign subvolumes, a full and a read-only file system. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BtrfsVolume, makeBtrfsDriver } from '../../../src/storage/btrfs.ts'
import type { VolumeRef } from '../../../src/storage/driver.ts'
import { type BtrfsPool, makeBtrfsPool } from '../../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'

expectNoLeaks()
const driver = makeBtrfsDriver({ installRoot: join(import.meta.dirname, '../../..') })
const MIB = 1024 * 1024

let pool: BtrfsPool
beforeAll(() => {
  pool = makeBtrfsPool()
})
afterAll(() => pool.remove())

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(pool.dir, 'case-'))
})
afterEach(async () => {
  for (const name of readdirSync(dir)) await driver.destroy(at(name))
  rmSync(dir, { recursive: true })
})

const ref = (name: string): VolumeRef => ({ dir, name, label: name, pool: {} })
const at = (name: string): BtrfsVolume => ({ driver: 'btrfs', path: join(dir, name) })
const read = (...parts: string[]) => readFileSync(join(dir, ...parts), 'utf8')
const isReadOnly = (path: string) => pool.btrfs('property', 'get', '-ts', path, 'ro').trim() === 'ro=true'
const subvolumes = () => pool.subvolumes()
const subvolumeId = (path: string) => pool.btrfs('inspect-internal', 'rootid', path).trim()

/** `web` with `var/lib/machines/inner`, in it `deep/leaf`, read-only, and beside it an empty `sealed`, read-only. */
async function makeNested(): Promise<BtrfsVolume> {
  const web = await driver.create(ref('web'))
  writeFileSync(join(web.path, 'outer'), 'outer')
  const inner = join(web.path, 'var/lib/machines/inner')
  mkdirSync(join(web.path, 'var/lib/machines'), { recursive: true })
  pool.btrfs('subvolume', 'create', inner)
  writeFileSync(join(inner, 'file'), 'inner')
  mkdirSync(join(inner, 'deep'))
  pool.btrfs('subvolume', 'create', join(inner, 'deep/leaf'))
  writeFileSync(join(inner, 'deep/leaf/file'), 'leaf')
  pool.btrfs('property', 'set', '-ts', join(inner, 'deep/leaf'), 'ro', 'true')
  pool.btrfs('subvolume', 'create', join(web.path, 'sealed'))
  pool.btrfs('property', 'set', '-ts', join(web.path, 'sealed'), 'ro', 'true')
  chownSync(inner, 1234, 5678)
  chmodSync(inner, 0o2750)
  utimesSync(join(web.path, 'var/lib/machines'), 1_000_000, 1_000_000)
  return web
}

function expectNested(name: string): void {
  expect(read(name, 'outer')).toBe('outer')
  expect(read(name, 'var/lib/machines/inner/file')).toBe('inner')
  expect(read(name, 'var/lib/machines/inner/deep/leaf/file')).toBe('leaf')
  const { uid, gid, mode } = statSync(join(dir, name, 'var/lib/machines/inner'))
  expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 1234, gid: 5678, mode: 0o2750 })
  expect(statSync(join(dir, name, 'var/lib/machines')).mtimeMs).toBe(1_000_000_000)
}

describe('subvolumes inside', () => {
  it('come along into a clone, read-only ones stay so', async () => {
    const web = await makeNested()
    await driver.clone(web, ref('clone'))
    expectNested('clone')
    expect(isReadOnly(join(dir, 'clone/var/lib/machines/inner'))).toBe(false)
    expect(isReadOnly(join(dir, 'clone/var/lib/machines/inner/deep/leaf'))).toBe(true)
    expect(isReadOnly(join(dir, 'clone/sealed'))).toBe(true)
    // The clone's own: what is written there does not show in the source.
    writeFileSync(join(dir, 'clone/var/lib/machines/inner/file'), 'changed')
    expectNested('web')
  })

  it('are read-only in a snapshot, and in a clone of it as they were in the source', async () => {
    const web = await makeNested()
    const snapshot = await driver.snapshot(web, ref('snap'))
    for (const path of ['', 'var/lib/machines/inner', 'var/lib/machines/inner/deep/leaf', 'sealed']) {
      expect(isReadOnly(join(dir, 'snap', path)), path).toBe(true)
    }
    writeFileSync(join(web.path, 'var/lib/machines/inner/file'), 'changed later')
    await driver.clone(await driver.snapshot(snapshot, ref('snap-of-snap')), ref('back'))
    expectNested('back')
    expect(isReadOnly(join(dir, 'back'))).toBe(false)
    expect(isReadOnly(join(dir, 'back/var/lib/machines/inner'))).toBe(false)
    expect(isReadOnly(join(dir, 'back/var/lib/machines/inner/deep/leaf'))).toBe(true)
    expect(isReadOnly(join(dir, 'back/sealed'))).toBe(true)
    const attributes = execFileSync('getfattr', ['-R', '-d', '-m', '-', join(dir, 'back')], { encoding: 'utf8', stdio: 'pipe' })
    expect(attributes).not.toContain('tslxc')
  })

  it('go with the volume, from writable and read-only ones', async () => {
    const before = subvolumes()
    const web = await makeNested()
    const snapshot = await driver.snapshot(web, ref('snap'))
    await driver.destroy(snapshot)
    await driver.destroy(web)
    await driver.destroy(web)
    expect(subvolumes()).toEqual(before)
    expect(readdirSync(dir)).toEqual([])
  })

  it('nothing is left of a clone that fails inside', async () => {
    const web = await makeNested()
    // Behind what is mounted over it, the inner one cannot be reached.
    const before = subvolumes()
    const inner = join(web.path, 'var/lib/machines/inner')
    execFileSync('mount', ['-t', 'tmpfs', 'none', inner])
    try {
      await expect(driver.clone(web, ref('clone'))).rejects.toThrow('cannot open the nested subvolume')
    } finally {
      execFileSync('umount', [inner])
    }
    expect(subvolumes()).toEqual(before)
    expect(existsSync(join(dir, 'clone'))).toBe(false)
  })
})

describe('what is in the way', () => {
  it('a foreign subvolume or directory at the target stays as it is', async () => {
    const web = await driver.create(ref('web'))
    pool.btrfs('subvolume', 'create', join(dir, 'foreign'))
    writeFileSync(join(dir, 'foreign/file'), 'mine')
    mkdirSync(join(dir, 'plain'))
    for (const name of ['foreign', 'plain']) {
      const exists = { code: 'exists', message: expect.stringContaining('it already exists') }
      await expect(driver.create(ref(name))).rejects.toMatchObject(exists)
      await expect(driver.clone(web, ref(name))).rejects.toMatchObject(exists)
      await expect(driver.snapshot(web, ref(name))).rejects.toMatchObject(exists)
    }
    expect(read('foreign', 'file')).toBe('mine')
    expect(readdirSync(join(dir, 'plain'))).toEqual([])
  })

  it('a source on another file system: say to copy', async () => {
    const other = makeBtrfsPool(256)
    try {
      const web = await driver.create({ ...ref('web'), dir: other.dir })
      await expect(driver.clone(web, ref('clone'))).rejects.toMatchObject({
        message: expect.stringContaining('it lies on another file system'),
        hint: 'tslxc copy NAME NEWNAME',
      })
      expect(readdirSync(dir)).toEqual([])
    } finally {
      other.remove()
    }
  })

  it('a plain directory as source: say to copy', async () => {
    mkdirSync(join(dir, 'plain'))
    await expect(driver.clone(at('plain'), ref('clone'))).rejects.toThrow('it is not a btrfs subvolume')
    expect(existsSync(join(dir, 'clone'))).toBe(false)
  })

  it('a pool that is not mounted any more is no absent volume', async () => {
    const other = makeBtrfsPool(256)
    const web = await driver.create({ ...ref('web'), dir: other.dir })
    other.unmount()
    try {
      await expect(driver.destroy(web)).rejects.toMatchObject({
        message: expect.stringContaining('is not mounted there'),
        hint: `mount UUID=${web.uuid} MOUNTPOINT`,
      })
      other.mount()
      expect(existsSync(web.path)).toBe(true)
    } finally {
      other.remove()
    }
  })

  it('a read-only file system is not usable, and says how to change that', async () => {
    const other = makeBtrfsPool(256)
    try {
      const web = await driver.create({ ...ref('web'), dir: other.dir })
      execFileSync('mount', ['-o', 'remount,ro', other.dir])
      expect(await driver.probe({ dir: other.dir, pool: {} })).toMatchObject({
        usable: false,
        reason: expect.stringContaining('mounted read-only'),
        hint: expect.stringContaining('remount,rw'),
      })
      await expect(driver.clone(web, { ...ref('clone'), dir: other.dir })).rejects.toThrow('the file system is read-only')
      await expect(driver.create({ ...ref('new'), dir: other.dir })).rejects.toThrow('the file system is read-only')
      await expect(driver.destroy(web)).rejects.toThrow('the file system is read-only')
      expect(existsSync(web.path)).toBe(true)
    } finally {
      other.remove()
    }
  })

  it('is not usable elsewhere', async () => {
    expect(await driver.probe({ dir: '/dev/shm', pool: {} })).toMatchObject({ usable: false, reason: "'/dev/shm' is not on btrfs" })
    expect(await driver.probe({ dir, pool: {} })).toEqual({ usable: true, cow: true, quota: true, snapshotsNeedFreeze: true })
  })
})

it('a clone of a received subvolume is writable and is not taken for the received one', async () => {
  const web = await driver.create(ref('web'))
  writeFileSync(join(web.path, 'file'), 'sent')
  const snapshot = await driver.snapshot(web, ref('snap'))
  mkdirSync(join(dir, 'in'))
  execFileSync('sh', ['-c', 'btrfs -q send "$1" | btrfs -q receive "$2"', 'sh', snapshot.path, join(dir, 'in')])
  const received = at('in/snap')
  expect(pool.btrfs('subvolume', 'show', received.path)).toMatch(/Received UUID:\s+\w{8}-/)
  const clone = await driver.clone(received, ref('clone'))
  writeFileSync(join(clone.path, 'file'), 'mine')
  expect(pool.btrfs('subvolume', 'show', clone.path)).toMatch(/Received UUID:\s+-\n/)
  await driver.destroy(received)
})

it('exchange goes on where it was left', async () => {
  const [web, made] = [await driver.create(ref('web')), await driver.create(ref('web.new'))]
  writeFileSync(join(made.path, 'new'), '')
  execFileSync('mv', [web.path, `${web.path}.old`])
  expect(await driver.exchange(web, made)).toEqual({ live: web, aside: { ...web, path: `${web.path}.old` } })
  expect(await driver.exchange(web, made)).toEqual({ live: web, aside: { ...web, path: `${web.path}.old` } })
  expect(readdirSync(web.path)).toEqual(['new'])
})

const modes = [
  { mode: 'simple', prepare: () => undefined },
  { mode: 'full', prepare: () => pool.btrfs('quota', 'enable', pool.dir) },
]

describe.each(modes)('size, by $mode quotas', ({ mode, prepare }) => {
  beforeAll(() => {
    pool.btrfs('quota', 'disable', pool.dir)
  })

  const writeAsNobody = (path: string, mib: number) =>
    spawnSync('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${mib}`, 'conv=fsync'], { uid: 65534, gid: 65534, encoding: 'utf8' })
  const qgroups = () => [...pool.btrfs('qgroup', 'show', '--raw', pool.dir).matchAll(/^0\/(\d+)/gm)].map(([, id]) => id)

  // The pool's directory is root's alone; a descriptor from above is not needed where the test's own user may pass.
  const openTo = (path: string): void => {
    chmodSync(path, 0o777)
    for (const above of [dir, pool.dir, join(pool.dir, '..')]) chmodSync(above, 0o711)
  }
  const closeAgain = (): void => {
    for (const above of [dir, pool.dir, join(pool.dir, '..')]) chmodSync(above, 0o700)
  }

  it('without quotas: what is shared is told from what is not', async () => {
    const web = await driver.create(ref('web'))
    execFileSync('dd', ['if=/dev/urandom', `of=${web.path}/shared`, 'bs=1M', 'count=8', 'status=none'])
    const alone = await driver.usage(web)
    expect(alone.usedBytes).toBe(8 * MIB)
    expect(alone.referencedBytes).toBe(8 * MIB)
    const clone = await driver.clone(web, ref('clone'))
    execFileSync('dd', ['if=/dev/urandom', `of=${clone.path}/own`, 'bs=1M', 'count=3', 'status=none'])
    expect(await driver.usage(web)).toEqual({ usedBytes: 0, referencedBytes: 8 * MIB })
    expect(await driver.usage(clone)).toEqual({ usedBytes: 3 * MIB, referencedBytes: 11 * MIB })
  })

  it('a limit holds against an unprivileged writer; is refused below the content; goes again', async () => {
    prepare()
    const web = await driver.create(ref('web'))
    execFileSync('dd', ['if=/dev/urandom', `of=${web.path}/root`, 'bs=1M', 'count=10', 'status=none'])
    await expect(driver.resize(web, 5 * MIB)).rejects.toThrow(/cannot limit '.*' to 5.00 MiB: it holds 10.0[0-9] MiB/)
    const limited = await driver.resize(web, 20 * MIB)
    expect(limited).toEqual({ ...web, limitBytes: 20 * MIB })
    openTo(web.path)
    try {
      const { status, stderr } = writeAsNobody(join(web.path, 'mine'), 15)
      expect(stderr).toContain('Disk quota exceeded')
      expect(status).toBe(1)
      const { usedBytes, referencedBytes, limitBytes } = await driver.usage(limited)
      expect(limitBytes).toBe(20 * MIB)
      expect(referencedBytes).toBeGreaterThan(10 * MIB)
      expect(referencedBytes).toBeLessThanOrEqual(20 * MIB)
      expect(usedBytes).toBe(referencedBytes)
      // One that is full can be given more, and be deleted.
      const larger = await driver.resize(limited, 30 * MIB)
      expect(writeAsNobody(join(web.path, 'more'), 5)).toMatchObject({ status: 0 })
      expect(writeAsNobody(join(web.path, 'more'), 25).stderr).toContain('Disk quota exceeded')
      expect((await driver.usage(larger)).limitBytes).toBe(30 * MIB)
      expect(await driver.resize(limited, undefined)).toEqual(web)
      expect(writeAsNobody(join(web.path, 'mine'), 15).status).toBe(0)
    } finally {
      closeAgain()
    }
  })

  it('a clone has no limit, and none of the qgroups stays behind', async () => {
    const web = await driver.resize(await makeNested(), 50 * MIB)
    const clone = await driver.clone(web, ref('clone'))
    expect(await driver.usage(clone)).not.toHaveProperty('limitBytes')
    const ids = ['', 'var/lib/machines/inner', 'sealed'].map((path) => subvolumeId(join(clone.path, path)))
    expect(qgroups()).toEqual(expect.arrayContaining(ids))
    await driver.destroy(clone)
    pool.btrfs('subvolume', 'sync', pool.dir)
    expect(qgroups().filter((id) => ids.includes(id ?? ''))).toEqual([])
  })

  it('a limit of a clone counts what it shares; one at its limit can be cloned and deleted', async () => {
    const web = await driver.create(ref('web'))
    execFileSync('dd', ['if=/dev/urandom', `of=${web.path}/shared`, 'bs=1M', 'count=10', 'status=none'])
    const clone = await driver.clone(web, ref('clone'))
    await expect(driver.resize(clone, 5 * MIB)).rejects.toThrow('it holds 10.0')
    const limited = await driver.resize(clone, 15 * MIB)
    openTo(clone.path)
    try {
      expect(writeAsNobody(join(clone.path, 'mine'), 10).stderr).toContain('Disk quota exceeded')
    } finally {
      closeAgain()
    }
    const { referencedBytes } = await driver.usage(limited)
    expect(referencedBytes).toBeGreaterThan(10 * MIB)
    expect(referencedBytes).toBeLessThanOrEqual(15 * MIB)
    const second = await driver.clone(limited, ref('second'))
    expect(spawnSync('dd', ['if=/dev/zero', `of=${second.path}/more`, 'bs=1M', 'count=8', 'conv=fsync']).status).toBe(0)
    await driver.destroy(limited)
    expect(existsSync(limited.path)).toBe(false)
  })

  if (mode !== 'simple') return
  it('a limit holds for a subvolume that a guest makes inside', async () => {
    const web = await driver.resize(await driver.create(ref('web')), 10 * MIB)
    openTo(web.path)
    try {
      execFileSync('btrfs', ['-q', 'subvolume', 'create', join(web.path, 'escape')], { uid: 65534, gid: 65534 })
      expect(writeAsNobody(join(web.path, 'escape/file'), 15).stderr).toContain('Disk quota exceeded')
    } finally {
      closeAgain()
    }
    await driver.destroy(web)
    expect(pool.btrfs('qgroup', 'show', '--raw', pool.dir)).not.toMatch(/^200\//m)
  })
})

it('a full file system: the remedy is named, nothing is left', async () => {
  const full = makeBtrfsPool(128)
  try {
    const web = await driver.create({ ...ref('web'), dir: full.dir })
    for (let i = 0; i < 40_000; i++) mkdirSync(join(web.path, `d${i}`))
    spawnSync('dd', ['if=/dev/zero', `of=${web.path}/fill`, 'bs=1M', 'status=none'])
    const made: string[] = []
    let failure: unknown
    for (let i = 0; i < 2000 && failure === undefined; i++) {
      try {
        made.push((await driver.create({ ...ref(`more${i}`), dir: full.dir })).path)
      } catch (error) {
        failure = error
      }
    }
    expect(failure).toMatchObject({
      code: 'no-space',
      message: expect.stringContaining('No space left on device'),
      hint: expect.stringContaining('btrfs filesystem usage'),
    })
    expect(existsSync(join(full.dir, `more${made.length}`))).toBe(false)
  } finally {
    full.remove()
  }
})
