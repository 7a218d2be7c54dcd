/** A btrfs on a file of its own, mounted in the mount namespace of the tests. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface BtrfsPool {
  /** Where it is mounted; only root gets there. */
  readonly dir: string
  mount(...options: string[]): void
  unmount(): void
  /** The names of all subvolumes, as paths beneath the pool. */
  subvolumes(): string[]
  /** `btrfs ARGS`; its standard output. */
  btrfs(...args: string[]): string
  remove(): void
}

export function makeBtrfsPool(sizeMiB = 1024): BtrfsPool {
  const base = mkdtempSync('/var/tmp/tslxc-btrfs-')
  const image = join(base, 'disk')
  const dir = join(base, 'pool')
  mkdirSync(dir)
  writeFileSync(image, '')
  truncateSync(image, sizeMiB * 1024 * 1024)
  execFileSync('mkfs.btrfs', ['-q', image])
  const mount = (...options: string[]): void => {
    execFileSync('mount', ['-o', ['loop', 'commit=1', ...options].join(','), image, dir])
  }
  const unmount = (): void => void execFileSync('umount', [dir])
  mount()
  const btrfs = (...args: string[]): string =>
    execFileSync('btrfs', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
  return {
    dir,
    mount,
    unmount,
    btrfs,
    subvolumes: () =>
      btrfs('subvolume', 'list', dir)
        .split('\n')
        .flatMap((line) => / path (.*)$/.exec(line)?.[1] ?? []),
    remove() {
      try {
        unmount()
      } catch {
        // A test may have unmounted it.
      }
      rmSync(base, { recursive: true, force: true })
    },
  }
}
