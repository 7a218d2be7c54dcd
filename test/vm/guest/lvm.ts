/** In the virtual machine: the conformance suite on LVM. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { makePaths } from '../../../src/platform/paths.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import type { Fixture } from '../../helpers/storage-place.ts'
import { conformance } from '../../system/storage/conformance.ts'

const MIB = 1 << 20

interface Store {
  readonly vg: string
  readonly fstype: string
  /** Of each volume, and of the first limit: xfs and btrfs can't shrink, and btrfs can't be resized below 256. */
  readonly mebibytes: number
}

function onLvm({ vg, fstype, mebibytes }: Store): Fixture {
  const sizeBytes = mebibytes * MIB
  return {
    driver: 'lvm',
    expected: { cow: vg === 'lxc', quota: true, snapshotsNeedFreeze: false },
    sizes: { limit: sizeBytes, grown: sizeBytes + 64 * MIB },
    crashRounds: 3,
    async setUp() {
      const dir = mkdtempSync('/tmp/owners-')
      return {
        paths: makePaths({ root: dir, installRoot: repositoryRoot }),
        dir,
        pool: { vg, fstype, sizeBytes },
        list: async () => execFileSync('lvs', ['-a', '--noheadings', '-o', 'vg_name,lv_name'], { encoding: 'utf8' }).trim().split('\n'),
        tearDown: async () => rmSync(dir, { recursive: true }),
      }
    },
  }
}

conformance('thin ext4', onLvm({ vg: 'lxc', fstype: 'ext4', mebibytes: 64 }))
conformance('thin xfs', onLvm({ vg: 'lxc', fstype: 'xfs', mebibytes: 304 }))
conformance('thin btrfs', onLvm({ vg: 'lxc', fstype: 'btrfs', mebibytes: 320 }))
conformance('thick ext4', onLvm({ vg: 'thick', fstype: 'ext4', mebibytes: 64 }))
