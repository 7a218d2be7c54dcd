/** In the virtual machine: the conformance suite on LVM. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import { makeLvmDriver } from '../../../src/storage/lvm.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { type Fixture, get, put } from '../../helpers/storage-place.ts'
import { conformance } from '../../system/storage/conformance.ts'

const MIB = 1 << 20

interface Store {
  /** `thin` has a thin pool of LXC's name. */
  readonly vg: 'thin' | 'thick'
  readonly fstype: string
  /** Of each volume: btrfs can't be resized below 256. */
  readonly mebibytes: number
}

function onLvm({ vg, fstype, mebibytes }: Store): Fixture {
  const sizeBytes = mebibytes * MIB
  return {
    driver: 'lvm',
    expected: { cow: vg === 'thin', quota: true, snapshotsNeedFreeze: false },
    sizes: { limit: sizeBytes, grown: sizeBytes + 64 * MIB },
    crashRounds: 3,
    callMs: 5000,
    async setUp() {
      const dir = mkdtempSync('/tmp/owners-')
      return {
        paths: makePaths({ root: dir, installRoot: repositoryRoot }),
        dir,
        pool: { vg, fstype, sizeBytes },
        list: async () => execFileSync('lvs', ['-a', '--noheadings', '-o', 'vg_name,lv_name', vg], { encoding: 'utf8' }).trim().split('\n'),
        tearDown: async () => rmSync(dir, { recursive: true }),
      }
    },
  }
}

conformance('thin ext4', onLvm({ vg: 'thin', fstype: 'ext4', mebibytes: 64 }))
conformance('thin xfs', onLvm({ vg: 'thin', fstype: 'xfs', mebibytes: 304 }))
conformance('thin btrfs', onLvm({ vg: 'thin', fstype: 'btrfs', mebibytes: 320 }))
conformance('thick ext4', onLvm({ vg: 'thick', fstype: 'ext4', mebibytes: 64 }))

/** Filling volumes of their size takes minutes. */
describe.each([
  ['thin xfs', 304],
  ['thin btrfs', 320],
])('%s', (name, mebibytes) => {
  const driver = makeLvmDriver({ installRoot: repositoryRoot })
  const dir = mkdtempSync('/tmp/owners-')
  afterAll(() => rmSync(dir, { recursive: true }))

  it('grows, with what is in it', async () => {
    const pool = { vg: 'thin', fstype: name.split(' ')[1], sizeBytes: mebibytes * MIB }
    const volume = await driver.create({ dir, name: 'rootfs', label: 'grows', pool })
    try {
      await put(driver, volume, 'file', 'content')
      const grown = await driver.resize(volume, (mebibytes + 128) * MIB)
      expect(await get(driver, grown, 'file')).toBe('content')
      const { blocks, bsize } = await driver.withMounted(grown, (root) => statfs(root), { readOnly: true })
      expect(blocks * bsize).toBeGreaterThan((mebibytes + 64) * MIB)
      await expect(driver.resize(grown, mebibytes * MIB)).rejects.toMatchObject({
        message: expect.stringContaining('only ext4 can shrink'),
      })
    } finally {
      await driver.destroy(volume)
    }
  })
})
