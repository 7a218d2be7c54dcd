/** Containers as they stand on the disk: which there are, what was made for them, who works on them. */
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ExistsError, NotFoundError } from '../lib/errors.ts'
import { checkName, nameProblem } from '../lib/names.ts'
import type { OnStep } from '../lib/progress.ts'
import { type ContainerState, type LockHandle, loadAddon } from '../platform/addon.ts'
import { ensureDir, readJson } from '../platform/files.ts'
import { acquireLock } from '../platform/locks.ts'
import { configFile, containerDir, lockFile, type Paths, runDir } from '../platform/paths.ts'
import type { Pool, Volume, VolumeRef } from '../storage/driver.ts'

/** What a lifecycle function is given: where things are, and who asks. A command's Context is one. */
export interface StoreContext {
  readonly paths: Paths
  /** Names us to others who wait for a lock of ours, e.g. `tslxc create`. */
  readonly command: string
  readonly lockTimeoutMs?: number
  readonly signal?: AbortSignal | undefined
  readonly onStep?: OnStep
}

/** An existing container. */
export interface Container {
  readonly name: string
  readonly dir: string
  readonly configFile: string
}

/** Files of a container's directory that say how far its making or removal has come. */
export const CREATING = 'creating.json'
export const DESTROYING = 'destroying.yaml'
const RECORD = 'record.json'
const VOLUME = 'volume.json'
const RECORD_VERSION = 1

export type GuestNetwork = 'networkd' | 'ifupdown' | 'busybox' | 'none'
export type GuestInit = 'systemd' | 'busybox' | 'sysv'

/** record.json: how the container came to be. An input of the compiler. */
export interface ContainerRecord {
  readonly version: typeof RECORD_VERSION
  readonly uuid: string
  readonly template: string
  readonly options: Readonly<Record<string, unknown>>
  /** Fingerprint of the image; absent for `none`. */
  readonly image?: string
  readonly guest: { readonly network: GuestNetwork; readonly init: GuestInit }
  /** RFC 3339. */
  readonly createdAt: string
  /** Of which container, or which snapshot of it, this is a copy. */
  readonly clonedFrom?: CloneOrigin
}

export interface CloneOrigin {
  readonly lxcpath: string
  readonly name: string
  readonly snapshot?: string
  /** Of the origin's record: stays right when it gets another name. */
  readonly uuid?: string
}

/** volume.json */
interface VolumeRecord {
  readonly version: typeof RECORD_VERSION
  readonly volume: Volume
}

export const recordFile = (dir: string): string => join(dir, RECORD)
export const volumeFile = (dir: string): string => join(dir, VOLUME)
export const volumeRecord = (volume: Volume): VolumeRecord => ({ version: RECORD_VERSION, volume })

/** The container, whether it exists or not. */
export const containerOf = (paths: Paths, name: string): Container => ({
  name,
  dir: containerDir(paths, name),
  configFile: configFile(paths, name),
})

/** Where its root file system stands. */
export const rootfsRef = ({ name, dir }: Container, pool: Pool = {}): VolumeRef => ({ dir, name: 'rootfs', label: name, pool })

/** A container exists when its config.yaml does, and from no other sign. */
export const containerExists = (paths: Paths, name: string): boolean => existsSync(configFile(paths, name))

/**
 * What a command left that died while it made or destroyed a container: `create` and `destroy` of that name finish it.
 * It died before its journal when there is nothing but temporary files.
 */
export const isLeftover = ({ dir, configFile: file }: Container): boolean =>
  existsSync(dir) && !existsSync(file) && (isBare(dir) || entriesOf(dir).some((entry) => entry === CREATING || entry === DESTROYING))

/** A directory without anything but temporary files of `writeDurable`. */
export const isBare = (dir: string): boolean => entriesOf(dir).every((entry) => entry.startsWith('.') && entry.endsWith('.tmp'))

/** Names under which a crashed command left something. */
export const listLeftovers = (paths: Paths): Container[] =>
  entriesOf(paths.lxcpath)
    .filter((name) => nameProblem(name) === undefined)
    .map((name) => containerOf(paths, name))
    .filter(isLeftover)

/** Sorted by name. */
export function listContainers(paths: Paths): Container[] {
  return entriesOf(paths.lxcpath)
    .filter((name) => nameProblem(name) === undefined && containerExists(paths, name))
    .sort()
    .map((name) => containerOf(paths, name))
}

/**
 * The container of that name. `verb` is for the message, e.g. `destroy`.
 * @throws UsageError for no name; NotFoundError, whose hint names the one that was probably meant
 */
export async function findContainer(paths: Paths, name: string, verb: string): Promise<Container> {
  checkName(name)
  if (containerExists(paths, name)) return containerOf(paths, name)
  throw await notFound(paths, name, verb)
}

/** LXC's phrase is in it: scripts look for it. */
export async function notFound(paths: Paths, name: string, verb: string): Promise<NotFoundError> {
  const near = await nearestName(
    name,
    listContainers(paths).map((container) => container.name),
  )
  const hint = near === undefined ? `'tslxc ls' shows what there is in ${paths.lxcpath}` : `did you mean '${near}'?`
  return new NotFoundError(`cannot ${verb} '${name}': Container is not defined`, { hint })
}

/** The one of `names` that was probably meant. */
export async function nearestName(name: string, names: readonly string[]): Promise<string | undefined> {
  if (names.length === 0) return undefined
  const { closest, distance } = (await import('fastest-levenshtein')).default
  const near = closest(name, names)
  return distance(name, near) <= Math.max(1, Math.floor(name.length / 3)) ? near : undefined
}

export const alreadyExists = (name: string): ExistsError =>
  new ExistsError(`cannot create '${name}': Container already exists`, { hint: `tslxc destroy ${name}` })

/** Undefined for a container that was not made by us. */
export const readRecord = (container: Container): Promise<ContainerRecord | undefined> =>
  readJson<ContainerRecord>(recordFile(container.dir), RECORD_VERSION)

/** Undefined when the root file system is none that we made. */
export const readVolume = (container: Container): Promise<Volume | undefined> => readVolumeIn(container.dir)

/** volume.json of any owner: a container, a snapshot, an image kept in the store. */
export async function readVolumeIn(dir: string): Promise<Volume | undefined> {
  return (await readJson<VolumeRecord>(volumeFile(dir), RECORD_VERSION))?.volume
}

/** What it is doing now. Takes no lock and asks no monitor. */
export function stateOf(paths: Paths, name: string): ContainerState {
  if (!existsSync(paths.lxcpath)) return { state: 'STOPPED', crashed: false }
  return loadAddon(paths.installRoot).readState(runDir(paths, name))
}

/**
 * The lock that everything takes which changes a container. The caller releases it.
 * @throws BusyError that names the holder
 */
export async function lockContainer(context: StoreContext, name: string, options: { readonly shared?: boolean } = {}): Promise<LockHandle> {
  const { paths, command, lockTimeoutMs, signal } = context
  checkName(name)
  // Its number names the directory of the locks.
  await ensureDir(paths.lxcpath)
  return await acquireLock(paths, {
    path: lockFile(paths, name),
    object: `'${name}'`,
    command,
    signal,
    ...options,
    ...(lockTimeoutMs === undefined ? {} : { timeoutMs: lockTimeoutMs }),
  })
}

/** Names in a directory; none when it is absent. */
export function entriesOf(dir: string): string[] {
  try {
    return lstatSync(dir).isDirectory() ? readdirSync(dir) : []
  } catch {
    return []
  }
}
