import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import { driverNames, driverOf, storageDriver } from '../../../src/storage/index.ts'
import { repositoryRoot, rootOnly } from '../../helpers/addon.ts'

let dir = ''
const paths = makePaths({ root: '', installRoot: repositoryRoot })
const driver = storageDriver(paths, 'dir')
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-storage-')) // 0700
  mkdirSync(join(dir, 'web'))
  mkdirSync(join(dir, 'db'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))
const at = (owner: string) => ({ dir: join(dir, owner), name: 'rootfs', label: owner, pool: {} })

describe.skipIf(rootOnly)('dir', () => {
  it('creates, clones, destroys; the record is known before', async () => {
    const volume = await driver.create(at('web'))
    expect(volume).toEqual(await driver.locate(at('web')))
    expect(volume).toEqual({ driver: 'dir', path: join(dir, 'web/rootfs') })
    expect(statSync(volume.path).mode & 0o777).toBe(0o755)
    writeFileSync(join(volume.path, 'file'), 'x')
    const clone = await driver.clone(volume, at('db'))
    expect(await driver.withMounted(clone, async (root) => readFileSync(join(root, 'file'), 'utf8'))).toBe('x')
    expect(driver.rootfsPlan(clone)).toEqual({ kind: 'bind', path: join(dir, 'db/rootfs'), recursive: false })
    await driver.destroy(volume)
    await driver.destroy(volume)
    expect(readdirSync(join(dir, 'web'))).toEqual([])
  })

  it('refuses what is there, and leaves nothing of a clone that failed', async () => {
    const volume = await driver.create(at('web'))
    await expect(driver.create(at('web'))).rejects.toMatchObject({ code: 'exists' })
    const abort = new AbortController()
    abort.abort()
    await expect(driver.clone(volume, at('db'), { signal: abort.signal })).rejects.toMatchObject({ code: 'aborted' })
    expect(readdirSync(join(dir, 'db'))).toEqual([])
  })

  it('refuses a place that every user of the host can reach', async () => {
    chmodSync(dir, 0o755)
    await expect(driver.create(at('web'))).rejects.toMatchObject({ code: 'permission', hint: `chmod 700 '${dir}/web'` })
    chmodSync(join(dir, 'web'), 0o700)
    await driver.create(at('web'))
  })
})

it('knows its drivers by name', async () => {
  expect(driverNames).toEqual(['dir', 'overlay', 'btrfs', 'lvm', 'loop', 'zfs'])
  expect(() => storageDriver(paths, 'zsf')).toThrow("cannot use the storage 'zsf': there is dir")
  expect(driverOf(paths, { driver: 'dir', path: '/x' }).name).toBe('dir')
  expect(await driver.probe({ dir: tmpdir(), pool: {} })).toMatchObject({ usable: true, snapshotsNeedFreeze: true })
})
