/** What the conformance suite of the storage drivers works on, and how it looks at volumes. */
import { execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Paths } from '../../src/platform/paths.ts'
import type { DriverName, Pool, StorageDriver, Volume, VolumeRef } from '../../src/storage/driver.ts'
import { helperFile } from './addon.ts'

/** A store of a test's own. */
export interface Place {
  readonly paths: Paths
  /** Owners' directories go here: an empty directory, 0700. */
  readonly dir: string
  readonly pool: Pool
  /** All that the store holds (datasets, logical volumes, subvolumes); the suite wants it at its end as at its start. */
  list(): Promise<readonly string[]>
  /** For a store that counts what is used when it writes out, and takes its time for that. */
  writeOut?(): void
  tearDown(): Promise<void>
}

export interface Fixture {
  readonly driver: DriverName
  /** Why it can't run here. */
  readonly missing?: string | false
  readonly expected: { readonly cow: boolean; readonly quota: boolean; readonly snapshotsNeedFreeze: boolean }
  /** In bytes. The first is a limit for a volume of the pool's size, the second a larger one. Default 64 and 128 MiB. */
  readonly sizes?: { readonly limit: number; readonly grown: number }
  /** How often it is killed; default 30. */
  readonly crashRounds?: number
  /** How long a call takes there, about; default: a first one of each kind that is not killed tells. */
  readonly callMs?: number
  /** What the driver leaves to those above it, with the reason, which the skipped test prints. */
  readonly leaves?: { readonly writableSnapshots?: string; readonly writableMounts?: string; readonly oddTrees?: string }
  /** What `locate` can know of the record before the volume is made; default all of it. */
  readonly located?: (volume: Volume) => unknown
  setUp(): Promise<Place>
}

/** What the parts of the suite share: the store, and a note of all that a test made, which goes away after it. */
export interface Bench {
  readonly fixture: Fixture
  readonly driver: StorageDriver
  readonly place: Place
  ref(label: string): VolumeRef
  /** Notes the volume before it is made. */
  create(at: VolumeRef): Promise<Volume>
  clone(from: Volume, to: VolumeRef): Promise<Volume>
  snapshot(of: Volume, as: VolumeRef): Promise<Volume>
  note<V extends Volume>(volume: V): V
}

/** `web`: <dir>/web/rootfs. `web@snap0`: <dir>/web/snaps/snap0/rootfs. Makes the owner's directory. */
export function refIn(place: Place, label: string): VolumeRef {
  const dir = join(place.dir, label.replace('@', '/snaps/'))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return { dir, name: 'rootfs', label, pool: place.pool }
}

/** Where the successor of a volume is made, for `exchange`. */
export const besides = (at: VolumeRef): VolumeRef => ({ ...at, name: `${at.name}.new`, label: `${at.label}.new` })

/** Files and directories below the owners' directories, which themselves do not count. What begins with a dot is the store's: see `list`. */
export function entriesIn(dir: string): string[] {
  if (!existsSync(dir)) return []
  const entries = readdirSync(dir, { withFileTypes: true }).filter(({ name }) => !name.startsWith('.'))
  return entries.flatMap((entry) => {
    const path = join(dir, entry.name)
    const isOwner = entry.isDirectory() && !entry.name.startsWith('rootfs')
    return isOwner ? entriesIn(path) : [path]
  })
}

export const put = (driver: StorageDriver, volume: Volume, name: string, text: string): Promise<void> =>
  driver.withMounted(volume, async (root) => writeFileSync(join(root, name), text))

export const get = (driver: StorageDriver, volume: Volume, name: string): Promise<string> =>
  driver.withMounted(volume, async (root) => readFileSync(join(root, name), 'utf8'), { readOnly: true })

export const namesIn = (driver: StorageDriver, volume: Volume): Promise<string[]> =>
  driver.withMounted(volume, async (root) => readdirSync(root), { readOnly: true })

/** `root` may be a link that leads to a mount. */
const python = (file: string, root: string, ...args: string[]): string =>
  execFileSync('python3', [helperFile(file), `${root}/.`, ...args], { encoding: 'utf8', maxBuffer: 64 << 20 })

export const fillWithOddTree = (driver: StorageDriver, volume: Volume): Promise<void> =>
  driver.withMounted(volume, async (root) => {
    python('oddtree.py', root)
    // Owners of a user namespace.
    writeFileSync(join(root, 'guest'), 'guest')
    chownSync(join(root, 'guest'), 100_000, 165_535)
  })

export interface ManifestEntry {
  readonly path: string
  readonly sparse?: boolean
}

/** Everything a faithful copy must keep. How a file lies on the disk is told for one file only, which is mostly a hole. */
export async function manifest(driver: StorageDriver, volume: Volume): Promise<ManifestEntry[]> {
  const text = await driver.withMounted(volume, async (root) => python('manifest.py', root), { readOnly: true })
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ManifestEntry)
    .map(({ sparse, ...entry }) => (entry.path === 'sparse' ? { ...entry, sparse: sparse === true } : entry))
}

/** As uid 1000, into a directory of its own; `ok` or the name of the error, `ENOSPC`. */
export const fill = (driver: StorageDriver, volume: Volume, name: string, mebibytes: number): Promise<string> =>
  driver.withMounted(volume, async (root) => {
    mkdirSync(join(root, 'data'), { recursive: true })
    chownSync(join(root, 'data'), 1000, 1000)
    const outcome = python('fill-disk.py', root, `data/${name}`, String(mebibytes)).trim()
    if (outcome !== 'ok') rmSync(join(root, 'data', name))
    return outcome
  })
