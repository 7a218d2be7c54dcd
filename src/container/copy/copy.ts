/**
 * Copying containers: one or many of one source in one go, each there whole or not at all.
 *
 * The source is locked shared, so that several copies of it can be made at once and nothing starts it meanwhile; `stop`
 * takes no lock and never waits. All names are locked in one order. What many have in common is done once, and what has
 * to be on the disk before the next step is flushed once for all of them.
 */
import { checkName } from '../../lib/names.ts'
import { attachUndoErrors } from '../../lib/undo.ts'
import { ensureDir } from '../../platform/files.ts'
import type { Paths } from '../../platform/paths.ts'
import type { StorageWish } from '../create/choose-storage.ts'
import { alreadyExists, containerExists, lockContainer, type StoreContext } from '../store.ts'
import { beginCreation, type Creation } from '../transaction.ts'
import { planConfig } from './clone-config.ts'
import { type ClonedContainer, type CopyPlan, type ExtraMount, makeCopies, mountEntry } from './copy-make.ts'
import { planNetwork } from './copy-network.ts'
import { findSource, readSource, type SourceName } from './copy-source.ts'
import { changesSource, planVolume, sealSource } from './copy-volume.ts'

export interface CloneRequest {
  readonly source: SourceName
  /** Of the copies; the source's when absent. Absolute. */
  readonly lxcpath?: string | undefined
  /** Sharing blocks with the source (`copy -s`), or a full copy. */
  readonly sharing: boolean
  /** Another storage than the source's, or another place in it. */
  readonly storage?: StorageWish | undefined
  /** Keep the host name, and hardware addresses. */
  readonly keepName?: boolean
  readonly keepMac?: boolean
  /** Of the first interface: `ADDRESS[/PREFIX]`, `auto` or `dhcp`. */
  readonly ip?: string | undefined
  readonly allowRunning?: boolean
  /** The copy is removed when it stops. */
  readonly ephemeral?: boolean
  /** What changes is kept in memory only. */
  readonly inMemory?: boolean
  readonly mounts?: readonly ExtraMount[]
  /** Behind `--`. */
  readonly hookWords?: readonly string[]
}

/** One copy. The caller must hold no lock of either container. */
export async function cloneContainer(context: StoreContext, name: string, request: CloneRequest): Promise<ClonedContainer> {
  const [made] = await cloneContainers(context, [name], request)
  return made as ClonedContainer
}

/**
 * Makes copies of one source; when one fails, none is left.
 * @throws NotFoundError · ExistsError with LXC's phrase · BusyError · StateError · UsageError · ConfigError · HostError
 */
export async function cloneContainers(
  context: StoreContext,
  names: readonly string[],
  request: CloneRequest,
): Promise<readonly ClonedContainer[]> {
  for (const name of names) checkName(name)
  await findSource(context, request.source)
  const target: StoreContext = { ...context, paths: pathsAt(context.paths, request.lxcpath) }
  for (const name of names) if (containerExists(target.paths, name)) throw alreadyExists(name)
  const shared = !(await mustSeal(context, request))
  const locked = await lockAll(context, target, { names, source: request.source.name, shared })
  let made: readonly ClonedContainer[]
  try {
    made = await makeCopies(target, await makePlan(context, target.paths, request, shared), locked.creations)
  } catch (error) {
    throw await undoAll(locked.creations, error)
  } finally {
    locked.source.release()
  }
  for (const creation of locked.creations) await creation[Symbol.asyncDispose]()
  return made
}

export const pathsAt = (paths: Paths, lxcpath: string | undefined): Paths =>
  lxcpath === undefined ? paths : { ...paths, lxcpath: lxcpath.replace(/(.)\/+$/, '$1') }

interface Locked {
  readonly source: { release(): void }
  readonly creations: readonly Creation[]
}

interface Wanted {
  readonly names: readonly string[]
  readonly source: string
  readonly shared: boolean
}

/** In the order of their names, whichever is the source: two copies in opposite directions wait, and don't block each other. */
async function lockAll(context: StoreContext, target: StoreContext, wanted: Wanted): Promise<Locked> {
  const { names, source, shared } = wanted
  await ensureDir(target.paths.lxcpath)
  const key = (paths: Paths, name: string) => `${paths.lxcpath}/${name}`
  const ordered = [...names.map((name) => ({ name, isSource: false })), { name: source, isSource: true }].sort((a, b) =>
    key(a.isSource ? context.paths : target.paths, a.name) < key(b.isSource ? context.paths : target.paths, b.name) ? -1 : 1,
  )
  const creations = new Map<string, Creation>()
  let sourceLock: { release(): void } | undefined
  try {
    for (const { name, isSource } of ordered) {
      if (isSource) sourceLock = await lockContainer(context, name, { shared })
      else creations.set(name, await beginCreation(target, name, { flush: names.length === 1 }))
    }
  } catch (error) {
    const failure = await undoAll([...creations.values()], error)
    sourceLock?.release()
    throw failure
  }
  return { source: sourceLock ?? { release: () => undefined }, creations: names.flatMap((name) => creations.get(name) ?? []) }
}

/** The error, with what undoing said. */
async function undoAll(creations: readonly Creation[], error: unknown): Promise<unknown> {
  let failure = attachUndoErrors(error)
  for (const creation of [...creations].reverse()) {
    try {
      await creation[Symbol.asyncDispose]()
    } catch (undoError) {
      failure = attachUndoErrors(Object.assign(new Error('undo'), { name: 'SuppressedError', error: undoError, suppressed: failure }))
    }
  }
  return failure
}

/** Looked at before the lock: sealing needs it alone. Another answer under the lock is an answer too late, and nothing is sealed. */
async function mustSeal(context: StoreContext, request: CloneRequest): Promise<boolean> {
  const source = await readSource(context, request.source, { allowRunning: request.allowRunning ?? false })
  return await changesSource(context, source, request)
}

async function makePlan(context: StoreContext, targetPaths: Paths, request: CloneRequest, shared: boolean): Promise<CopyPlan> {
  const { keepName = false, keepMac = false, allowRunning = false, ephemeral = false, ip, mounts = [] } = request
  let source = await readSource(context, request.source, { allowRunning })
  if (!shared && (await sealSource(context, source))) source = await readSource(context, request.source, { allowRunning })
  const volume = await planVolume(context, source, request, targetPaths)
  const network = planNetwork(source.loaded, { keepMac, ip })
  const config = planConfig(source.config, {
    hostname: !keepName,
    rootfs: volume !== undefined,
    idmap: source.hasOwnIds,
    hwaddrs: network.hwaddrs,
    addresses: network.addresses.map(({ index }) => index),
    ephemeral,
    unlimited: volume?.unlimited !== undefined,
    mountEntries: mounts.map((mount, index) => mountEntry(mount, source.container.dir, index)),
  })
  const { hookWords = [], sharing } = request
  return { source, volume, network, config, hookWords, sharing, keepName, mounts }
}
