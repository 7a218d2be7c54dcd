/** Subvolumes in subvolumes, as machinectl and docker make them in a guest. */
import { chmodSync, chownSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BtrfsPool } from './btrfs-pool.ts'

/** `var/lib/machines/inner`, in it `deep/leaf`, read-only, and beside it an empty `sealed`, read-only. */
export function addNested(pool: BtrfsPool, top: string): void {
  writeFileSync(join(top, 'outer'), 'outer')
  const inner = join(top, 'var/lib/machines/inner')
  mkdirSync(join(top, 'var/lib/machines'), { recursive: true })
  pool.btrfs('subvolume', 'create', inner)
  writeFileSync(join(inner, 'file'), 'inner')
  mkdirSync(join(inner, 'deep'))
  pool.btrfs('subvolume', 'create', join(inner, 'deep/leaf'))
  writeFileSync(join(inner, 'deep/leaf/file'), 'leaf')
  pool.btrfs('property', 'set', '-ts', join(inner, 'deep/leaf'), 'ro', 'true')
  pool.btrfs('subvolume', 'create', join(top, 'sealed'))
  pool.btrfs('property', 'set', '-ts', join(top, 'sealed'), 'ro', 'true')
  chownSync(inner, 1234, 5678)
  chmodSync(inner, 0o2750)
  utimesSync(join(top, 'var/lib/machines'), 1_000_000, 1_000_000)
}
