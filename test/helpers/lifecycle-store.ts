/** What the suites of whole containers on one storage work on: a root on a small file system of its own, and a look at what is left. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { containerOf, readVolume, readVolumeIn } from '../../src/container/store.ts'
import { makePaths, type Paths } from '../../src/platform/paths.ts'
import type { DriverName, Volume } from '../../src/storage/driver.ts'
import { driverOf } from '../../src/storage/index.ts'
import { repositoryRoot } from './addon.ts'
import { makeRoot, type TestRoot, untilDeletedBehind } from './root.ts'
import { makeZfsPool, type ZfsPool } from './zfs-pool.ts'

const MIB = 1024 * 1024
const SIZE_MIB = 700

export interface LifecycleStore {
  readonly driver: DriverName
  readonly root: TestRoot
  readonly paths: Paths
  /** Of `create`: the storage, and how its containers run here. */
  readonly createArgs: readonly string[]
  /** Leaves room for `mib` MiB and no more. */
  fill(mib: number): void
  empty(): void
  setReadOnly(on: boolean): void
  /** Takes the store away, as when its disk is not mounted, and brings it back. */
  away(): void
  back(): void
  /** Something of somebody else's where `NAME`'s volume would be; `remove` fails when it is not there any more. */
  intrude(name: string): { remove(): void }
  /** Everything in the store that belongs to containers, snapshots, layers or images. */
  entries(): string[]
  remove(): Promise<void>
}

export interface LifecycleOptions {
  /** Why it can't run here. */
  readonly missing?: string | false
  /** Why containers can't be started on it here: what needs one is left out. */
  readonly startless?: string | false
  /** It has no `copy -s`, and so no ephemeral copies. */
  readonly clones?: false
  /** What this storage shares by `copy -s` and by restore keeps its source: `destroy` refuses. */
  readonly hasDependents?: boolean
  /** How often each verb is killed. */
  readonly crashRounds?: number
}

export interface LifecycleBench {
  readonly store: LifecycleStore
  readonly options: LifecycleOptions
  /** Words of `create` besides the name. */
  readonly createArgs: readonly string[]
}

export type StoreName = 'dir' | 'overlay' | 'btrfs' | 'loop' | 'zfs'

export async function makeStore(driver: StoreName): Promise<LifecycleStore> {
  return driver === 'zfs' ? await onZfs() : onFileSystem(driver)
}

const commonEntries = (root: TestRoot): string[] =>
  ['', '.layers', '.images', '.renaming', '.trash']
    .flatMap((dir) => namesIn(join(root.lxcpath, dir)).map((name) => join(dir, name)))
    // The store's own: directories for these, locks, the lower directory of an overlay over nothing.
    .filter((name) => !name.startsWith('.') || (name.includes('/') && !/\/(\.|empty$)/.test(name)))

export const namesIn = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : [])

function onFileSystem(driver: Exclude<StoreName, 'zfs'>): LifecycleStore {
  const root = makeRoot({ ownCache: true })
  const base = mkdtempSync('/var/tmp/tslxc-store-')
  const image = join(base, 'disk')
  execFileSync('truncate', ['-s', `${SIZE_MIB}M`, image])
  if (driver === 'btrfs') execFileSync('mkfs.btrfs', ['-q', image])
  else execFileSync('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1', image])
  const mount = (): void => {
    execFileSync('mount', ['-o', 'loop', image, root.path])
    chmodSync(root.path, 0o700)
  }
  mount()
  const filler = join(root.path, 'filler')
  return {
    driver,
    root,
    paths: makePaths({ root: root.path, installRoot: repositoryRoot }),
    createArgs: ['-B', driver, ...(driver === 'loop' ? ['--fssize', '64M'] : [])],
    fill(mib) {
      execFileSync('sync', ['-f', root.path])
      const { bavail, bsize } = statfsSync(root.path)
      closeSync(openSync(filler, 'w'))
      // Not `fallocate` in one go: the last bytes are not to be had at once.
      execFileSync('fallocate', ['-l', String(Math.max(bavail * bsize - mib * MIB, MIB)), filler])
    },
    empty: () => rmSync(filler, { force: true }),
    setReadOnly: (on) => void execFileSync('mount', ['-o', `remount,${on ? 'ro' : 'rw'}`, root.path]),
    away: () => void execFileSync('umount', [root.path]),
    back: mount,
    intrude(name) {
      const dir = join(root.lxcpath, name)
      execFileSync('mkdir', ['-p', join(dir, 'rootfs')])
      const file = join(dir, 'rootfs/mine')
      writeFileSync(file, 'precious')
      return {
        remove() {
          expect(readFileSync(file, 'utf8')).toBe('precious')
          rmSync(dir, { recursive: true })
        },
      }
    },
    entries: () => [...commonEntries(root), ...(driver === 'btrfs' ? subvolumes(root.path) : [])].sort(),
    async remove() {
      await destroyAll(root)
      await untilDeletedBehind(root.path)
      execFileSync('umount', [root.path])
      await root.remove()
      rmSync(base, { recursive: true, force: true })
    },
  }
}

async function onZfs(): Promise<LifecycleStore> {
  const root = makeRoot({ ownCache: true })
  const pool: ZfsPool = await makeZfsPool(SIZE_MIB)
  const zfsRoot = `${pool.name}/lxc`
  const filler = `${pool.name}/filler`
  return {
    driver: 'zfs',
    root,
    paths: makePaths({ root: root.path, installRoot: repositoryRoot }),
    createArgs: ['-B', 'zfs', '--zfsroot', zfsRoot],
    fill(mib) {
      const available = Number(pool.zfs('get', '-Hpo', 'value', 'available', pool.name).trim())
      pool.zfs('create', '-o', `reservation=${Math.max(available - mib * MIB, MIB)}`, filler)
    },
    empty() {
      if (pool.datasets().includes(filler)) pool.zfs('destroy', filler)
    },
    setReadOnly: (on) => void pool.zfs('set', `readonly=${on ? 'on' : 'off'}`, zfsRoot),
    away: () => void pool.zpool('export', pool.name),
    back: () => void pool.zpool('import', '-d', pool.dir, '-o', 'cachefile=none', pool.name),
    intrude(name) {
      const dataset = `${zfsRoot}/${name}`
      pool.zfs('create', '-o', 'tslxc.test:mine=precious', dataset)
      return {
        remove() {
          expect(pool.zfs('get', '-Ho', 'value', 'tslxc.test:mine', dataset).trim()).toBe('precious')
          pool.zfs('destroy', dataset)
        },
      }
    },
    entries: () => [...commonEntries(root), ...pool.datasets().filter((name) => ![pool.name, zfsRoot].includes(name))].sort(),
    async remove() {
      await destroyAll(root)
      await root.remove()
      await pool.remove()
    },
  }
}

const subvolumes = (mountPoint: string): string[] =>
  execFileSync('btrfs', ['subvolume', 'list', mountPoint], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
    .split('\n')
    .flatMap((line) => / path (.*)$/.exec(line)?.[1] ?? [])

async function destroyAll(root: TestRoot): Promise<void> {
  for (const name of namesIn(root.lxcpath).filter((entry) => !entry.startsWith('.'))) await root.tslxc('destroy', '-f', '-s', name)
  await root.tslxc('image', 'rm', '--all')
  await vi.waitFor(() => expect(namesIn(join(root.lxcpath, '.trash'))).toEqual([]), { timeout: 20_000, interval: 50 })
}

const FILE = 'root/content'

async function volumeOf({ paths }: LifecycleStore, name: string, snapshot?: string): Promise<Volume> {
  const container = containerOf(paths, name)
  const volume = snapshot === undefined ? await readVolume(container) : await readVolumeIn(join(container.dir, 'snaps', snapshot))
  if (volume === undefined) throw new Error(`'${name}' has no volume`)
  return volume
}

/** Which content a stopped container, or a snapshot, has. */
export async function contentOf(store: LifecycleStore, name: string, snapshot?: string): Promise<string> {
  const volume = await volumeOf(store, name, snapshot)
  return await driverOf(store.paths, volume).withMounted(volume, async (at) => readFileSync(join(at, FILE), 'utf8').trim(), {
    readOnly: true,
  })
}

/** Content and configuration together: a half of one with a half of the other is found by `contentOf` and `remarkOf`. */
export async function putContent(store: LifecycleStore, name: string, text: string): Promise<void> {
  const volume = await volumeOf(store, name)
  await driverOf(store.paths, volume).withMounted(volume, async (at) => writeFileSync(join(at, FILE), text))
  const file = configFileOf(store, name)
  const config = readFileSync(file, 'utf8').replace(/^# content .*\n/m, '')
  writeFileSync(file, `${config}# content ${text}\n`)
}

const configFileOf = ({ root }: LifecycleStore, name: string): string => join(root.lxcpath, name, 'config.yaml')
export const configOf = (store: LifecycleStore, name: string): string => readFileSync(configFileOf(store, name), 'utf8')
export const remarkOf = (store: LifecycleStore, name: string): string | undefined => /^# content (.*)$/m.exec(configOf(store, name))?.[1]

/** A large file that does not shrink, in a stopped container. */
export async function putBulk(store: LifecycleStore, name: string, mib: number): Promise<void> {
  const volume = await volumeOf(store, name)
  await driverOf(store.paths, volume).withMounted(volume, async (at) => writeFileSync(join(at, 'root/bulk'), randomBytes(mib * MIB)))
}

/** Digest of the large file. */
export async function bulkOf(store: LifecycleStore, name: string): Promise<string> {
  const volume = await volumeOf(store, name)
  const read = async (at: string) =>
    createHash('sha256')
      .update(readFileSync(join(at, 'root/bulk')))
      .digest('hex')
  return await driverOf(store.paths, volume).withMounted(volume, read, { readOnly: true })
}

export const allocated = ({ root }: LifecycleStore, kind: 'ids' | 'leases'): string[] => {
  const file = join(root.lxcpath, '.alloc', `${kind}.json`)
  if (!existsSync(file)) return []
  const read = JSON.parse(readFileSync(file, 'utf8')) as { ranges?: { name: string }[]; leases?: { name: string }[] }
  return (read.ranges ?? read.leases ?? []).map(({ name }) => name).sort()
}

export async function emptyTrash({ root }: LifecycleStore): Promise<void> {
  await vi.waitFor(() => expect(namesIn(join(root.lxcpath, '.trash'))).toEqual([]), { timeout: 20_000, interval: 50 })
}

/** Trees are deleted behind the commands. */
export async function expectEntries(store: LifecycleStore, expected: readonly string[]): Promise<void> {
  await vi.waitFor(() => expect(store.entries()).toEqual(expected), { timeout: 20_000, interval: 50 })
}

/** The host has nothing of ours mounted beneath the store, and no loop device of a file in it. */
export const inUse = ({ root }: LifecycleStore): string[] => [
  ...readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${root.path}/`)),
  ...namesIn('/sys/block').flatMap((name) => {
    const file = join('/sys/block', name, 'loop/backing_file')
    const backing = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
    return backing.startsWith(`${root.path}/`) ? [backing] : []
  }),
]
