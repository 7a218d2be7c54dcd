/** What is moved: a container read under its lock, standing still or as of one moment. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { HostError, StateError } from '../../lib/errors.ts'
import { ensureDir } from '../../platform/files.ts'
import { withDetachedMount } from '../../platform/mounts.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Capabilities, StorageDriver, Volume } from '../../storage/driver.ts'
import { driverOf, poolOf } from '../../storage/index.ts'
import { type CopySource, findSource, readSource, type SourceName } from '../copy/copy-source.ts'
import { writeJournal } from '../journal.ts'
import { quiesced } from '../quiesce.ts'
import { removeSnapshotDir, snapshotRef, snapshotsDir } from '../snapshot/snapshot-store.ts'
import { findContainer, lockContainer, type StoreContext } from '../store.ts'

/** Runs with the container locked, so that nothing is made, removed or started meanwhile; `stop` takes no lock. */
export async function withSource<T>(
  context: StoreContext,
  { name, snapshot }: SourceName,
  verb: string,
  use: (source: CopySource) => Promise<T>,
): Promise<T> {
  await findContainer(context.paths, name, verb)
  await findSource(context, { name })
  const lock = await lockContainer(context, name, { shared: true })
  try {
    return await use(await readSource(context, { name, snapshot }, { allowRunning: true }))
  } finally {
    lock.release()
  }
}

export interface Still<T> {
  readonly result: T
  /** How long it stood still; absent: it did not have to. */
  readonly frozenMs?: number
}

type Usable = Extract<Capabilities, { usable: true }>

export interface StillOptions {
  readonly verb: string
  /** A running one may stand still as long as it takes. */
  readonly allowRunning: boolean
  /** Always a read-only volume of its own, also of a stopped one. */
  readonly snapshot?: boolean
}

/** Runs with the container's root file system as of one moment: its own where it is stopped, else a snapshot that goes afterwards. */
export async function whileStill<T>(
  context: StoreContext,
  source: CopySource,
  options: StillOptions,
  use: (volume: Volume | undefined) => Promise<T>,
): Promise<Still<T>> {
  const { volume, isLive } = source
  if (volume === undefined) return { result: await use(undefined) }
  if (!isLive && options.snapshot !== true) return { result: await use(volume) }
  const { name } = source.container
  const driver = driverOf(context.paths, volume)
  const capabilities = usable(await driver.probe({ dir: context.paths.lxcpath, pool: poolOf(volume) }), name, options.verb)
  if (capabilities.cow) return await fromSnapshot(context, source, { driver, volume, capabilities }, use)
  if (!options.allowRunning) {
    throw new StateError(
      'running',
      `cannot ${options.verb} '${name}': it is running, and its storage '${driver.name}' makes no snapshot at once`,
      {
        hint: `tslxc stop ${name}, or pass --allowrunning (-a): it stands still meanwhile`,
      },
    )
  }
  return await quiesced(context, name, { snapshotsNeedFreeze: true }, () => use(volume))
}

function usable(capabilities: Capabilities, name: string, verb: string): Usable {
  if (capabilities.usable) return capabilities
  throw new HostError(`cannot ${verb} '${name}': ${capabilities.reason}`, { hint: capabilities.hint })
}

interface Storing {
  readonly driver: StorageDriver
  readonly volume: Volume
  readonly capabilities: Usable
}

/** A snapshot that nobody sees: without snapshot.yaml it is one that was broken off, and swept after a crash. */
async function fromSnapshot<T>(
  context: StoreContext,
  { container }: CopySource,
  { driver, volume, capabilities }: Storing,
  use: (volume: Volume) => Promise<T>,
): Promise<Still<T>> {
  const mark = `moving-${randomBytes(4).toString('hex')}`
  const at = snapshotRef(container, mark, poolOf(volume))
  await ensureDir(snapshotsDir(container))
  await mkdir(join(at.dir), { mode: 0o700 })
  try {
    await writeJournal(context, at.dir, [await driver.locate(at)])
    const { result: made, ...frozen } = await quiesced(context, container.name, capabilities, () =>
      driver.snapshot(volume, at, { signal: context.signal }),
    )
    return { result: await use(made), ...frozen }
  } finally {
    await removeSnapshotDir(context, container, mark)
  }
}

/** A directory for a child's eyes: read-only, and without what the administrator has mounted in it. */
export async function withReadable<T>(paths: Paths, volume: Volume, use: (root: string) => Promise<T>): Promise<T> {
  return await driverOf(paths, volume).withMounted(
    volume,
    // What is mounted detached already has no mounts in it.
    (root) =>
      root.startsWith('/proc/')
        ? use(root)
        : withDetachedMount(paths, { kind: 'bind', path: root, recursive: false }, use, { readOnly: true }),
    { readOnly: true },
  )
}
