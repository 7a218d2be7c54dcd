/** btrfs by the suite for all drivers. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { which } from '../../../src/platform/exec.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { makeBtrfsPool } from '../../helpers/btrfs-pool.ts'
import { conformance } from './conformance.ts'

conformance('btrfs', {
  driver: 'btrfs',
  missing: which('mkfs.btrfs') === undefined && 'needs mkfs.btrfs',
  expected: { cow: true, quota: true, snapshotsNeedFreeze: true },
  leaves: { writableMounts: 'the subvolume itself is handed out' },
  async setUp() {
    const pool = makeBtrfsPool(2048)
    const dir = join(pool.dir, 'lxc')
    mkdirSync(dir, { mode: 0o700 })
    return {
      paths: makePaths({ root: pool.dir, installRoot: repositoryRoot }),
      dir,
      pool: {},
      list: async () => pool.subvolumes(),
      tearDown: async () => pool.remove(),
    }
  },
})
