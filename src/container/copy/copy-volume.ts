/** Which way the root file system of a copy is made: cloned by its driver where that is what is wanted, else file by file. */
import { lstatSync, mkdirSync, statfsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { readSettings } from '../../compile/settings.ts'
import { HostError, UsageError } from '../../lib/errors.ts'
import { type Paths, runLxcpath } from '../../platform/paths.ts'
import type { Capabilities, DriverName, Pool, StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { driverNames, driverOf, poolOf, storageDriver } from '../../storage/index.ts'
import { OPTION_USERS, parsePoolOptions } from '../../storage/pool-options.ts'
import { chooseStorage, type StorageWish } from '../create/choose-storage.ts'
import { sealVolume } from '../pending.ts'
import { type Container, rootfsRef, type StoreContext } from '../store.ts'
import type { CopySource } from './copy-source.ts'

export interface VolumeWishes {
  /** Sharing blocks with the source. */
  readonly sharing: boolean
  /** Another storage than the source's, or another place in it. */
  readonly storage?: StorageWish | undefined
  /** What changes in the copy is kept in memory only. */
  readonly inMemory?: boolean | undefined
}

type Usable = Extract<Capabilities, { usable: true }>

export interface VolumePlan {
  readonly from: Volume
  readonly driver: StorageDriver
  readonly how: 'clone' | 'copy'
  /** Of the driver of `from`, where that is. */
  readonly source: Usable
  /** Of where the copies lie: owners have to be shifted on its disk. */
  readonly idmap?: false
  /** Where the volume of a copy shall be. */
  readonly at: (copy: Container) => VolumeRef
  /** For people. */
  readonly warnings: readonly string[]
  /** Why `limits.disk` of the source is left out of the copy's configuration; absent: it is not. */
  readonly unlimited?: string
}

/** Makes overlays of directories, so that both sides can share what there is. */
const SEALER: DriverName = 'overlay'

/** Whether the source itself is changed by what is wished, so that nobody else may use it meanwhile. */
export async function changesSource({ paths }: StoreContext, source: CopySource, wishes: VolumeWishes): Promise<boolean> {
  if (!wishes.sharing) return false
  const sealer = await sealerOf(paths, source)
  return sealer !== undefined && staysIn(sealer, wishes)
}

/** A copy can share blocks with its source only in the same storage. */
const staysIn = ({ name }: StorageDriver, { storage }: VolumeWishes): boolean =>
  storage?.bdev === undefined || storage.bdev.split(',').some((word) => word === 'best' || word.replace(/^overlayfs$/, 'overlay') === name)

/** The driver that has to make the source's content shareable first. */
async function sealerOf(paths: Paths, { volume, isLive, snapshot }: CopySource): Promise<StorageDriver | undefined> {
  if (volume === undefined || isLive || snapshot !== undefined) return undefined
  const own = driverOf(paths, volume)
  if (own.planSeal !== undefined) return own
  const capabilities = await own.probe({ dir: paths.lxcpath, pool: poolOf(volume) })
  const isDir = volume.driver === 'dir' && driverNames.includes(SEALER)
  return isDir && capabilities.usable && !capabilities.cow ? storageDriver(paths, SEALER) : undefined
}

/** Under the source's lock, which nobody shares: true when it has another root file system record now. */
export async function sealSource(context: StoreContext, source: CopySource): Promise<boolean> {
  const { container, volume } = source
  const sealer = await sealerOf(context.paths, source)
  if (sealer?.planSeal === undefined || volume === undefined) return false
  const planned = await sealer.planSeal(volume, rootfsRef(container, poolOf(volume)))
  if (planned === undefined) return false
  await sealVolume(context, container, sealer, planned)
  if (planned.driver !== volume.driver) {
    const { name } = container
    context.onStep?.({
      text: `'${name}' is kept as '${planned.driver}' from now on, as its copies are; 'tslxc mount ${name}' shows its files`,
    })
  }
  return true
}

/** @throws UsageError · HostError when the storage can't do what is asked */
export async function planVolume(
  { paths }: StoreContext,
  source: CopySource,
  wishes: VolumeWishes,
  targetPaths: Paths,
): Promise<VolumePlan | undefined> {
  const { volume: from } = source
  if (from === undefined) return undefined
  const { name } = source.container
  const own = driverOf(paths, from)
  const { driver, pool } = await placeOf(targetPaths, source, from, wishes)
  const at = wishes.inMemory === true ? inMemory(targetPaths, name, driver, pool) : (copy: Container): VolumeRef => rootfsRef(copy, pool)
  const isSame = driver.name === from.driver
  const target = usable(await driver.probe({ dir: targetPaths.lxcpath, pool }), name, driver)
  const sourceCan = isSame ? target : usable(await own.probe({ dir: paths.lxcpath, pool: poolOf(from) }), name, own)
  const unlimited = whyUnlimited(source, target, wishes)
  const idmap = target.idmap === false ? { idmap: target.idmap } : {}
  const planned = { from, driver, source: sourceCan, ...idmap, at, ...(unlimited === undefined ? {} : { unlimited }) }
  if (wishes.sharing && !target.cow) return { ...planned, how: fullCopy(target), warnings: [whyNotShared(source, from)] }
  const isClone = isSame && (wishes.sharing || (target.clonesAreCopies === true && isOnDevice(paths.lxcpath, targetPaths.lxcpath)))
  return { ...planned, how: isClone ? 'clone' : 'copy', warnings: [] }
}

/** The tmpfs of every host: what is in it goes with a reboot at the latest. */
const MEMORY = '/dev/shm'
/** statfs(2) */
const TMPFS_MAGIC = 0x01021994

/** Only of an overlay the changes stand apart. */
function inMemory(paths: Paths, name: string, driver: StorageDriver, pool: Pool): (copy: Container) => VolumeRef {
  if (driver.planSeal === undefined) {
    throw new UsageError(`cannot keep the changes of a copy of '${name}' in memory: its storage '${driver.name}' has no layers`, {
      hint: 'leave -t out',
    })
  }
  if (statfsSync(MEMORY).type !== TMPFS_MAGIC) throw new HostError(`cannot keep changes in memory: '${MEMORY}' is no tmpfs`)
  const dir = join(MEMORY, 'tslxc', basename(runLxcpath(paths)))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return ({ name: copy }) => ({ dir, name: copy, label: copy, pool })
}

interface Place {
  readonly driver: StorageDriver
  readonly pool: Pool
}

/** A copy lies where its source lies, where nothing else is asked for. */
async function placeOf(paths: Paths, source: CopySource, from: Volume, { sharing, storage = {} }: VolumeWishes): Promise<Place> {
  const own = driverOf(paths, from)
  const size = 'sizeBytes' in from && typeof from.sizeBytes === 'number' && from.sizeBytes > 0 ? { sizeBytes: from.sizeBytes } : {}
  const isOwn = storage.bdev === undefined || (sharing && staysIn(own, { sharing, storage }))
  if (isOwn) return { driver: own, pool: { ...poolOf(from), ...size, ...parsePoolOptions(storage) } }
  const choice = await chooseStorage(paths, storage, readSettings(paths).storage)
  if (sharing) {
    const { name } = source.container
    throw new UsageError(`cannot copy '${name}' copy-on-write to '${choice.driver.name}': it lies in '${from.driver}'`, {
      hint: 'leave -s or -B out',
    })
  }
  if (choice.pool.sizeBytes !== undefined || !OPTION_USERS.fssize.some((user) => user === choice.driver.name)) return choice
  const { referencedBytes } = await own.usage(from)
  return { ...choice, pool: { ...choice.pool, sizeBytes: Math.max(SMALLEST_DEVICE, Math.ceil(referencedBytes * ROOM_FOR_FILES)) } }
}

// LXC's size of a device that nobody gave one, and what a file system takes for itself.
const SMALLEST_DEVICE = 1024 ** 3
const ROOM_FOR_FILES = 1.3

/** A copy that could not be started is worth less than one without a limit. */
function whyUnlimited({ loaded }: CopySource, { quota }: Usable, { inMemory: isInMemory }: VolumeWishes): string | undefined {
  if (loaded.config.limits?.disk === undefined) return undefined
  const reason = isInMemory === true ? 'there are no quotas in memory' : quota === true ? undefined : quota.reason
  return reason === undefined ? undefined : `the copy has no limits.disk: ${reason}`
}

const fullCopy = ({ clonesAreCopies }: Usable): VolumePlan['how'] => (clonesAreCopies === true ? 'clone' : 'copy')

// Snapshots of a file system end at its border.
const isOnDevice = (a: string, b: string): boolean => a === b || lstatSync(a).dev === lstatSync(b).dev

function usable(capabilities: Capabilities, name: string, driver: StorageDriver): Usable {
  if (capabilities.usable) return capabilities
  throw new HostError(`cannot copy '${name}' with '${driver.name}': ${capabilities.reason}`, { hint: capabilities.hint })
}

/** A directory of a running container can't be put below an overlay: LXC refuses, we copy. */
function whyNotShared({ container: { name }, isLive }: CopySource, { driver }: Volume): string {
  if (isLive && driver === 'dir') return `'${name}' runs, so its directory can't be shared: this is a full copy`
  throw new HostError(`cannot copy '${name}' copy-on-write: its storage '${driver}' can't`, { hint: 'leave -s out: a full copy' })
}
