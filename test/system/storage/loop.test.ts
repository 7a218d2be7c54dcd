/** Image files, with each file system inside. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { which } from '../../../src/platform/exec.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { conformance } from './conformance.ts'

const MIB = 1 << 20

for (const [fstype, tool] of [
  ['ext4', 'mkfs.ext4'],
  ['xfs', 'mkfs.xfs'],
  ['btrfs', 'mkfs.btrfs'],
] as const) {
  conformance(`loop, ${fstype}`, {
    driver: 'loop',
    missing: which(tool) === undefined && `needs ${tool}`,
    expected: { cow: false, quota: true, snapshotsNeedFreeze: true },
    // The smallest xfs has 300 MiB.
    sizes: { limit: 320 * MIB, grown: 448 * MIB },
    async setUp() {
      const root = mkdtempSync('/var/tmp/tslxc-test-')
      const dir = join(root, 'lxc')
      mkdirSync(dir, { mode: 0o700 })
      return {
        paths: makePaths({ root, installRoot: repositoryRoot }),
        dir,
        pool: { fstype, sizeBytes: 320 * MIB },
        list: async () => readdirSync(root),
        tearDown: async () => rmSync(root, { recursive: true, force: true }),
      }
    },
  })
}
