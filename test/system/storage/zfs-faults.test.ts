/** What goes wrong with ZFS, and what stands only for others, on zfs-fuse. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { which } from '../../../src/platform/exec.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import type { StorageDriver, VolumeRef } from '../../../src/storage/driver.ts'
import { makeZfsDriver, type ZfsVolume } from '../../../src/storage/zfs.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'
import { needs } from '../../helpers/needs.ts'
import { fill, get, put } from '../../helpers/storage-place.ts'
import { makeZfsPool, type ZfsPool } from '../../helpers/zfs-pool.ts'

const MIB = 1 << 20
const missing =
  (which('zfs-fuse') === undefined && 'needs zfs-fuse') ||
  (existsSync('/sys/module/zfs') && 'the module zfs is loaded: zfs-fuse would not be asked')

let pool: ZfsPool
let driver: StorageDriver<ZfsVolume>
let root = ''
const ref = (label: string): VolumeRef => {
  const dir = join(pool.dir, 'lxc', label.replace('@', '/snaps/'))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return { dir, name: 'rootfs', label, pool: { zfsRoot: root } }
}
const create = (label: string) => driver.create(ref(label))
const beside = (label: string): VolumeRef => ({ ...ref(label), name: 'rootfs.new', label: `${label}.new` })
const names = () => pool.datasets().map((name) => name.slice(root.length + 1))

/** The daemon hears of an unmount after the kernel has done it. */
function removeAll(): string {
  try {
    return pool.zfs('destroy', '-R', root)
  } catch (error) {
    return String(error)
  }
}

expectNoLeaks()
describe('faults of ZFS', () => {
  beforeAll(async () => {
    if (missing !== false) return
    pool = await makeZfsPool(128)
    root = `${pool.name}/lxc`
    driver = makeZfsDriver(makePaths({ root: pool.dir, installRoot: repositoryRoot }))
  })
  beforeEach((context) => needs(context, missing === false, String(missing)))
  afterEach(async () => {
    if (missing !== false) return
    await expect.poll(removeAll, { timeout: 10_000, interval: 100 }).toBe('')
    pool.zfs('create', root)
  })
  afterAll(async () => await pool?.remove())

  it('leaves a dataset of others in the place alone', async () => {
    pool.zfs('create', '-o', 'mountpoint=none', `${root}/web`)
    await expect(create('web')).rejects.toMatchObject({
      code: 'exists',
      message: `cannot create '${root}/web': there is a dataset of that name already`,
    })
    const db = await create('db')
    await expect(driver.clone(db, ref('web'))).rejects.toMatchObject({ code: 'exists' })
    // The snapshot for the clone that was not made has gone.
    expect(names()).toEqual(['', '', 'db', 'web'])
  })

  it('keeps a replaced dataset while snapshots of it are kept, and not longer', async () => {
    const web = await create('web')
    await put(driver, web, 'file', 'first')
    const snapshot = await driver.snapshot(web, ref('web@snap0'))
    const { live, aside } = await driver.exchange(web, await driver.clone(snapshot, beside('web')))
    expect(aside).toEqual(web)
    await driver.destroy(web)
    expect(names()).toEqual(['', '', 'web', 'web.new', 'web@snap0'])
    // The live one stands on the snapshot: it goes on under a name of ours.
    await driver.destroy(snapshot)
    expect(names().filter((name) => !name.startsWith('tslxc-'))).toEqual(['', '', 'web.new'])
    expect(await get(driver, live, 'file')).toBe('first')
    const again = await create('web')
    await driver.destroy(live)
    expect(names()).toEqual(['', '', 'web'])
    await driver.destroy(again)
  })

  it('names those that would break, and removes what stood only for a clone', async () => {
    const web = await create('web')
    const [one, two] = [await driver.clone(web, ref('one')), await driver.clone(web, ref('two'))]
    const other = await create('other')
    expect(await driver.dependents(web, [one, two, other])).toEqual([one, two])
    await expect(driver.destroy(web)).rejects.toMatchObject({ code: 'state', message: expect.stringMatching(/(one|two)/) })
    expect(names().filter((name) => name.startsWith('web@tslxc-'))).toHaveLength(2)
    await driver.destroy(one)
    await driver.destroy(two)
    expect(names()).toEqual(['', '', 'other', 'web'])
    await driver.destroy(web)
  })

  it('limits the data of one alone, snapshots not counted', async () => {
    const limited = await driver.resize(await create('web'), 16 * MIB)
    expect(pool.zfs('get', '-H', '-p', '-o', 'value', 'refquota', limited.path).trim()).toBe(String(16 * MIB))
    expect(await fill(driver, limited, 'first', 10)).toBe('ok')
    await driver.snapshot(limited, ref('web@snap0'))
    await put(driver, limited, 'data/first', '')
    const used = async () => {
      pool.writeOut()
      return (await driver.usage(limited)).referencedBytes
    }
    await expect.poll(used, { timeout: 10_000 }).toBeLessThan(2 * MIB)
    expect(await fill(driver, limited, 'second', 10)).toBe('ok')
    expect(await fill(driver, limited, 'third', 16)).toMatch(/^(ENOSPC|EDQUOT)$/)
  })

  it('says that the pool is full, and what is there stays whole', async () => {
    const web = await create('web')
    await put(driver, web, 'file', 'content')
    expect(await fill(driver, web, 'big', 200)).toBe('ENOSPC')
    const made = await driver.clone(web, ref('db')).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (made !== undefined) expect(made).toMatchObject({ code: 'no-space', message: expect.stringContaining('is full') })
    expect(await get(driver, web, 'file')).toBe('content')
  })

  it('says of a dataset that it is read-only, and of a pool that it is not there, before anything is made', async () => {
    pool.zfs('set', 'readonly=on', root)
    expect(await driver.probe(ref('web'))).toEqual({
      usable: false,
      reason: `the dataset '${root}' is read-only`,
      hint: `zfs set readonly=off ${root}`,
    })
    pool.zfs('set', 'readonly=off', root)
    pool.zpool('export', pool.name)
    try {
      expect(await driver.probe(ref('web'))).toMatchObject({
        usable: false,
        reason: `there is no pool '${pool.name}', or it is not imported`,
      })
      await expect(create('web')).rejects.toMatchObject({ code: 'host', hint: 'zpool import' })
      // A journal that names it can be worked off when the pool is back.
      await expect(driver.usage({ driver: 'zfs', path: `${root}/web`, fuse: true })).rejects.toMatchObject({ code: 'host' })
    } finally {
      pool.zpool('import', '-o', 'cachefile=none', '-d', pool.dir, pool.name)
    }
    await driver.destroy(await create('web'))
  })

  it('refuses a directory that its tool can not mount', async () => {
    const at = ref('web')
    const spaced = { ...at, dir: join(at.dir, 'a b') }
    mkdirSync(spaced.dir)
    writeFileSync(join(spaced.dir, 'file'), '')
    await expect(driver.create(spaced)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('space in its name') })
    expect(names()).toEqual(['', ''])
  })
})
