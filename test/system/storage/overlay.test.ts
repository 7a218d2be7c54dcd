/** Overlay: the suite, and what is special to it: shared layers, what overlayfs writes into an upper directory, sealing. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makePaths } from '../../../src/platform/paths.ts'
import type { OverlayVolume } from '../../../src/storage/overlay.ts'
import type { Place } from '../../helpers/storage-place.ts'
import { conformance } from './conformance.ts'

const installRoot = join(import.meta.dirname, '../../..')

async function setUp(): Promise<Place> {
  const root = mkdtempSync('/var/tmp/tslxc-overlay-')
  const paths = makePaths({ root, installRoot })
  mkdirSync(paths.lxcpath, { recursive: true, mode: 0o700 })
  return {
    paths,
    dir: paths.lxcpath,
    pool: {},
    list: async () => {
      const layers = join(paths.lxcpath, '.layers')
      mkdirSync(layers, { recursive: true, mode: 0o700 })
      return readdirSync(layers).filter((name) => name !== '.lock' && name !== 'empty')
    },
    tearDown: async () => rmSync(root, { recursive: true, force: true }),
  }
}

conformance('overlay', {
  driver: 'overlay',
  expected: { cow: true, quota: false, snapshotsNeedFreeze: true },
  located: (volume) => ({ driver: volume.driver, dir: (volume as OverlayVolume).dir }),
  setUp,
})
