/** Directories, on the file system the machine has. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makePaths } from '../../../src/platform/paths.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { conformance } from './conformance.ts'

conformance('dir', {
  driver: 'dir',
  expected: { cow: false, quota: false, snapshotsNeedFreeze: true },
  leaves: {
    writableSnapshots: 'a directory has no flag for it; nobody but us reaches it',
    writableMounts: 'the directory itself is handed out',
  },
  async setUp() {
    const root = mkdtempSync('/var/tmp/tslxc-test-')
    const dir = join(root, 'lxc')
    mkdirSync(dir, { mode: 0o700 })
    return {
      paths: makePaths({ root, installRoot: repositoryRoot }),
      dir,
      pool: {},
      list: async () => [],
      tearDown: async () => rmSync(root, { recursive: true, force: true }),
    }
  },
})
