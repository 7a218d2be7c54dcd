/** How much is used on btrfs, and limits, by either kind of quotas. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BtrfsVolume, makeBtrfsDriver } from '../../../src/storage/btrfs.ts'
import type { VolumeRef } from '../../../src/storage/driver.ts'
import { addNested } from '../../helpers/btrfs-nested.ts'
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
const subvolumeId = (path: string) => pool.btrfs('inspect-internal', 'rootid', path).trim()

/** `web` with subvolumes inside. */
async function makeNested(): Promise<BtrfsVolume> {
  const web = await driver.create(ref('web'))
  addNested(pool, web.path)
  return web
}

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
