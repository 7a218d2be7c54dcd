/** zfs-fuse by the suite for all drivers. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { which } from '../../../src/platform/exec.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { makeZfsPool } from '../../helpers/zfs-pool.ts'
import { conformance } from './conformance.ts'

const missing =
  (which('zfs-fuse') === undefined && 'needs zfs-fuse') ||
  (existsSync('/sys/module/zfs') && 'the module zfs is loaded: zfs-fuse would not be asked')

conformance('zfs-fuse', {
  driver: 'zfs',
  missing,
  expected: { cow: true, quota: true, snapshotsNeedFreeze: false },
  crashRounds: 15,
  async setUp() {
    const pool = await makeZfsPool(1024)
    const dir = join(pool.dir, 'lxc')
    mkdirSync(dir, { mode: 0o700 })
    return {
      paths: makePaths({ root: pool.dir, installRoot: repositoryRoot }),
      dir,
      pool: { zfsRoot: `${pool.name}/lxc` },
      list: async () => pool.datasets(),
      writeOut: pool.writeOut,
      tearDown: pool.remove,
    }
  },
})
