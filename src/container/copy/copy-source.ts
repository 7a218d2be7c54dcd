/** What is copied: a container or a snapshot of one, read under its lock. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootfsText } from '../../compile/compile.ts'
import { loadConfig } from '../../config/load.ts'
import type { LoadedConfig } from '../../config/loaded.ts'
import { NotFoundError, StateError } from '../../lib/errors.ts'
import { isOwnedBy } from '../../lib/owner.ts'
import { stopContainer } from '../../runtime/native-program.ts'
import type { Volume } from '../../storage/driver.ts'
import { storageDriver, volumeText } from '../../storage/index.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { ID_RANGE_COUNT, readIds } from '../ids.ts'
import { PENDING } from '../pending.ts'
import { lockExisting } from '../settle.ts'
import type { Container, ContainerRecord, StoreContext } from '../store.ts'
import { containerOf, findContainer, readRecord, readVolume, stateOf } from '../store.ts'
import { ownerOf } from '../sweep.ts'
import type { SourceConfig } from './clone-config.ts'
import { hasBrokenRename } from './rename-journal.ts'

export interface SourceName {
  readonly name: string
  /** Copies this snapshot, not the container as it is now. */
  readonly snapshot?: string | undefined
}

export interface CopySource {
  readonly container: Container
  readonly snapshot?: string | undefined
  readonly config: SourceConfig
  readonly loaded: LoadedConfig
  /** Absent: it was not made by us. */
  readonly record?: ContainerRecord | undefined
  /** Absent: it has no root file system. */
  readonly volume?: Volume | undefined
  /** Its processes may write while it is copied. */
  readonly isLive: boolean
  /** Its id range is of our allocation, or looks like one. */
  readonly hasOwnIds: boolean
}

/**
 * Before the lock is taken: it exists, and what a crashed monitor left is cleaned up.
 * @throws NotFoundError
 */
export async function findSource(context: StoreContext, { name }: SourceName): Promise<Container> {
  const { paths, signal } = context
  const container = await findContainer(paths, name, 'copy')
  // Under a lock that others share nothing can be made up for.
  if (existsSync(join(container.dir, PENDING)) || hasBrokenRename(context)) (await lockExisting(context, name, 'copy')).lock.release()
  const { state, crashed } = stateOf(paths, name)
  if (crashed && state !== 'RUNNING') await stopContainer(paths, name, { kill: true, signal })
  return container
}

/** Under the lock of the source. @throws NotFoundError · ConfigError · StateError */
export async function readSource(
  { paths }: StoreContext,
  { name, snapshot }: SourceName,
  { allowRunning }: { readonly allowRunning: boolean },
): Promise<CopySource> {
  const container = containerOf(paths, name)
  const dir = snapshot === undefined ? container.dir : join(container.dir, 'snaps', snapshot)
  const file = join(dir, 'config.yaml')
  if (!existsSync(file)) throw missing(name, snapshot)
  const isLive = snapshot === undefined && isRunning(stateOf(paths, name).state, name, allowRunning)
  const text = readFileSync(file, 'utf8')
  // By the container's own name, also for a snapshot: what it includes lies beside that.
  const loaded = loadConfig(container.configFile, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0, text })
  if (snapshot === undefined) await requireNotMounted(container, 'copy', 'writable')
  const ids = await readIds(paths)
  return {
    container,
    snapshot,
    config: { name, dir: container.dir, file: container.configFile, text },
    loaded,
    record: await readRecord(container),
    volume: await volumeOf(paths, { ...container, dir }, loaded, snapshot !== undefined),
    isLive,
    hasOwnIds: /^idmap:/m.test(text) && (isOneRange(loaded) || ids.some((range) => isOwnedBy(range, ownerOf(paths, container)))),
  }
}

/** As we write it ourselves. A map of several parts was thought out by somebody, and is kept. */
export function isOneRange({ config: { idmap = [] } }: LoadedConfig): boolean {
  const [range] = idmap
  return idmap.length === 1 && range?.types.length === 2 && range.inside === 0 && range.count === ID_RANGE_COUNT
}

function missing(name: string, snapshot: string | undefined): NotFoundError {
  if (snapshot === undefined) return new NotFoundError(`cannot copy '${name}': Container is not defined`)
  return new NotFoundError(`cannot copy '${name}': it has no snapshot '${snapshot}'`, { hint: `tslxc snapshot -L ${name}` })
}

/** True: it runs, and that is allowed. A frozen one stands still. */
function isRunning(state: string, name: string, allowRunning: boolean): boolean {
  if (state === 'STOPPED') return false
  if (state === 'FROZEN' || allowRunning) return true
  throw new StateError('running', `cannot copy '${name}': it is running, and --allowrunning was not given`, {
    hint: `tslxc stop ${name}, or pass --allowrunning (-a)`,
  })
}

/** volume.json where it says the same as the configuration, which a person may have changed. */
async function volumeOf(
  paths: StoreContext['paths'],
  container: Container,
  loaded: LoadedConfig,
  isSnapshot: boolean,
): Promise<Volume | undefined> {
  const recorded = await readVolume(container)
  const written = loaded.config.rootfs?.path
  if (recorded !== undefined && (isSnapshot || volumeText(recorded) === rootfsText(loaded.config))) return recorded
  return written === undefined ? undefined : storageDriver(paths, written.driver).parse(written.path)
}
