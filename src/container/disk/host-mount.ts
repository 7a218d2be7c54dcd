/** Looking into a stopped container, or into a snapshot, from the host: its root file system in the host's mount table. */
import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { BusyError, CommandError, ExistsError, NotFoundError, StateError, UsageError } from '../../lib/errors.ts'
import { nameProblem } from '../../lib/names.ts'
import { run } from '../../platform/exec.ts'
import { fileError } from '../../platform/files.ts'
import type { MountSource } from '../../platform/mount-source.ts'
import { holdersOf, mountPoints } from '../../platform/mount-table.ts'
import { attachMount } from '../../platform/mounts.ts'
import { driverOf } from '../../storage/index.ts'
import { lockExisting } from '../settle.ts'
import { findSnapshot } from '../snapshot/snapshot-store.ts'
import {
  type Container,
  containerExists,
  containerOf,
  findContainer,
  listContainers,
  readVolumeIn,
  type StoreContext,
  stateOf,
} from '../store.ts'
import { requireVolume } from '../volume-records.ts'
import { type HostMount, hostMounts, mountPlace, seenBy, settleHostMounts, writeHostMounts } from './mounted.ts'

export interface MountRequest {
  /** Absent: `mnt` in the directory of the container, or of the snapshot. */
  readonly path?: string | undefined
  readonly readOnly: boolean
  /** Of this snapshot; always read-only. */
  readonly snapshot?: string | undefined
}

export interface MountReport {
  readonly name: string
  readonly snapshot?: string
  readonly path: string
  readonly readOnly: boolean
}

export interface UnmountReport {
  readonly name: string
  readonly path: string
}

const UMOUNT_TIMEOUT_MS = 60_000
const HOLDERS_SHOWN = 5

/**
 * Mounts nosuid and nodev: what the guest's root made setuid must not be so for users of the host.
 * @throws NotFoundError; StateError when it runs; ExistsError that says where it is mounted already; UsageError for the path
 */
export async function mountOnHost(context: StoreContext, name: string, request: MountRequest): Promise<MountReport> {
  using held = await lockExisting(context, name, 'mount')
  const { container } = held
  const mounts = await settleHostMounts(container)
  const { source, dir, snapshot } = await whatToMount(context, container, request.snapshot)
  const present = mounts.find((mount) => mount.snapshot === snapshot)
  if (present !== undefined) {
    throw new ExistsError(`cannot mount '${name}': it is mounted at '${present.path}' already`, { hint: `tslxc umount ${present.path}` })
  }
  const readOnly = request.readOnly || snapshot !== undefined
  const place = makePlace(name, request.path ?? join(dir, 'mnt'), source)
  const mount: HostMount = {
    ...place,
    ...mountPlace(),
    readOnly,
    ...(snapshot === undefined ? {} : { snapshot }),
    // A file system on a device can't be mounted twice, nor can an overlay be written to twice.
    blocksStart: snapshot === undefined && !(readOnly && source.kind === 'bind'),
  }
  await writeHostMounts(container, [...mounts, mount])
  try {
    await attachMount(context.paths, source, mount.path, { readOnly, inert: true })
  } catch (error) {
    await writeHostMounts(container, mounts)
    giveBack(mount)
    throw error
  }
  return { name, ...(snapshot === undefined ? {} : { snapshot }), path: mount.path, readOnly }
}

interface Mountable {
  readonly source: MountSource
  /** Of the owner, for a mount point. */
  readonly dir: string
  readonly snapshot?: string
}

async function whatToMount({ paths }: StoreContext, container: Container, wanted: string | undefined): Promise<Mountable> {
  const { name } = container
  if (wanted !== undefined) {
    const { dir, name: snapshot } = await findSnapshot(container, wanted, 'mount')
    const volume = await readVolumeIn(dir)
    if (volume === undefined) throw new StateError('state', `cannot mount '${name}': snapshot '${snapshot}' has no volume.json`)
    return { source: driverOf(paths, volume).rootfsPlan(volume), dir, snapshot }
  }
  const { state, crashed } = stateOf(paths, name)
  if (state !== 'STOPPED') throw new StateError('running', `cannot mount '${name}': it is running`, { hint: `tslxc attach ${name}` })
  if (crashed) throw new StateError('state', `cannot mount '${name}': its monitor has crashed`, { hint: `tslxc stop -k ${name}` })
  const volume = await requireVolume(paths, container, 'mount')
  return { source: driverOf(paths, volume).rootfsPlan(volume), dir: container.dir }
}

/** An empty directory that nothing is mounted at; made when it is not there. */
function makePlace(name: string, wanted: string, source: MountSource): Pick<HostMount, 'path' | 'madeDirectory'> {
  const asked = resolve(wanted)
  const cannot = (reason: string): UsageError => new UsageError(`cannot mount '${name}' at '${asked}': ${reason}`)
  if (asked === '/') throw cannot('it is not empty')
  let path: string
  try {
    path = join(realpathSync(dirname(asked)), basename(asked))
  } catch (error) {
    throw fileError('mount at', asked, error)
  }
  if (source.kind === 'bind' && (path === source.path || path.startsWith(`${source.path}/`))) throw cannot('it lies in what is mounted')
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined) {
    try {
      mkdirSync(path, { mode: 0o700 })
    } catch (error) {
      throw fileError('create', path, error)
    }
    return { path, madeDirectory: true }
  }
  if (!status.isDirectory()) throw cannot(status.isSymbolicLink() ? 'it is a symlink' : 'it is no directory')
  if (mountPoints().includes(path)) throw cannot('something is mounted there')
  if (readdirSync(path).length > 0) throw cannot('it is not empty')
  return { path, madeDirectory: false }
}

/**
 * Takes away what `mount` made: all of a container, or what is at a path.
 * @throws NotFoundError; BusyError that names the processes that use it
 */
export async function unmountFromHost(
  context: StoreContext,
  what: string,
  options: { readonly lazy: boolean },
): Promise<readonly UnmountReport[]> {
  const { container, path } = await mountedAs(context, what)
  using _held = await lockExisting(context, container.name, 'unmount')
  const mounts = await settleHostMounts(container)
  const wanted = mounts.filter((mount) => path === undefined || mount.path === path)
  if (wanted.length === 0) throw notMounted(what)
  let left = mounts
  for (const mount of wanted) {
    await unmount(container.name, mount, options.lazy)
    left = left.filter((other) => other !== mount)
    await writeHostMounts(container, left)
    giveBack(mount)
  }
  return wanted.map((mount) => ({ name: container.name, path: mount.path }))
}

const notMounted = (what: string): NotFoundError =>
  new NotFoundError(`cannot unmount '${what}': nothing of a container is mounted there`, {
    hint: `tslxc mount ${nameProblem(what) === undefined ? what : 'NAME'}`,
  })

/** A name can't hold a slash; a path that could be a name is one when there is such a container. */
async function mountedAs({ paths }: StoreContext, what: string): Promise<{ readonly container: Container; readonly path?: string }> {
  if (nameProblem(what) === undefined && containerExists(paths, what)) return { container: containerOf(paths, what) }
  const asked = resolve(what)
  const path = existsSync(dirname(asked)) ? join(realpathSync(dirname(asked)), basename(asked)) : asked
  for (const container of listContainers(paths)) {
    if ((await hostMounts(container)).some((mount) => mount.path === path)) return { container, path }
  }
  if (nameProblem(what) === undefined) return { container: await findContainer(paths, what, 'unmount') }
  throw notMounted(what)
}

async function unmount(name: string, mount: HostMount, lazy: boolean): Promise<void> {
  const { path } = mount
  const viewer = seenBy(mount)
  if (viewer !== 'self') {
    throw new StateError('state', `cannot unmount '${path}': it is mounted in another mount namespace`, {
      hint: `nsenter -t ${viewer} -m tslxc umount ${name}`,
    })
  }
  try {
    await run(['umount', ...(lazy ? ['-l'] : []), '--', path], { timeoutMs: UMOUNT_TIMEOUT_MS })
  } catch (error) {
    if (!(error instanceof CommandError) || !/busy/.test(error.stderr)) throw error
    throw busy(mount, error)
  }
}

function busy({ path }: HostMount, cause: unknown): BusyError {
  const below = mountPoints().filter((point) => point.startsWith(`${path}/`))
  const holders = holdersOf(path).map(({ pid, program }) => `${program} (pid ${pid})`)
  const shown = [...below.map((point) => `a mount at '${point}'`), ...holders]
  const more = shown.length > HOLDERS_SHOWN ? ` and ${shown.length - HOLDERS_SHOWN} more` : ''
  const by = shown.length === 0 ? 'something' : shown.slice(0, HOLDERS_SHOWN).join(', ') + more
  return new BusyError(`cannot unmount '${path}': ${by} uses it`, { hint: `end that, or tslxc umount --lazy ${path}`, cause })
}

/** The directory that `mount` made; one that is not empty is somebody's by now. */
function giveBack({ path, madeDirectory }: HostMount): void {
  if (!madeDirectory) return
  try {
    rmdirSync(path)
  } catch {
    // not empty, or gone
  }
}
