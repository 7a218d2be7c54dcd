/** What is special to btrfs: subvolumes inside, foreign subvolumes, a full and a read-only file system. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BtrfsVolume, makeBtrfsDriver } from '../../../src/storage/btrfs.ts'
import type { VolumeRef } from '../../../src/storage/driver.ts'
import { addNested } from '../../helpers/btrfs-nested.ts'
import { type BtrfsPool, makeBtrfsPool } from '../../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'

expectNoLeaks()
const driver = makeBtrfsDriver({ installRoot: join(import.meta.dirname, '../../..') })

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

/** `web` with subvolumes inside. */
async function makeNested(): Promise<BtrfsVolume> {
  const web = await driver.create(ref('web'))
  addNested(pool, web.path)
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
    expect(await driver.probe({ dir, pool: {} })).toEqual({
      usable: true,
      cow: true,
      clonesAreCopies: true,
      quota: true,
      snapshotsNeedFreeze: true,
    })
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
