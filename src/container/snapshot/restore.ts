/** Putting a snapshot into the place of what a container is now. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeCompiled } from '../../compile/write.ts'
import { HostError, StateError } from '../../lib/errors.ts'
import { readTextIfPresent } from '../../platform/files.ts'
import type { Volume } from '../../storage/driver.ts'
import { shiftVolume } from '../../storage/generic.ts'
import { driverOf, poolOf } from '../../storage/index.ts'
import { cloneContainer } from '../copy/copy.ts'
import type { ClonedContainer } from '../copy/copy-make.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { replaceVolume } from '../pending.ts'
import { lockExisting } from '../settle.ts'
import { type Container, findContainer, readVolumeIn, type StoreContext, stateOf } from '../store.ts'
import { requireVolume } from '../volume-records.ts'
import { requireFreeAddresses, withPresentIds } from './restore-config.ts'
import { findSnapshot } from './snapshot-store.ts'

export interface RestoreRequest {
  readonly snapshot: string
  /** The files alone. */
  readonly keepConfig?: boolean
}

export interface RestoreReport {
  readonly name: string
  readonly snapshot: string
  readonly configKept: boolean
}

/**
 * Makes a stopped container what it was when a snapshot was taken: its root file system and its configuration. Until the
 * new content is in place the old one is there. All snapshots stay. The id range stays what it is now.
 * @throws NotFoundError; StateError when it runs; ExistsError when an address of then is another container's now
 */
export async function restoreSnapshot(context: StoreContext, name: string, request: RestoreRequest): Promise<RestoreReport> {
  using held = await lockExisting(context, name, 'restore')
  const { container } = held
  const { dir, name: found } = await findSnapshot(container, request.snapshot, 'restore')
  requireStopped(context, container)
  await requireNotMounted(container, 'restore', 'live')
  const { paths, signal } = context
  const old = await requireVolume(paths, container, 'restore')
  const kept = await readVolumeIn(dir)
  if (kept === undefined) throw new StateError('state', `cannot restore '${name}': snapshot '${found}' has no volume.json`)
  const driver = driverOf(paths, kept)
  const config = request.keepConfig ? undefined : await configOf(context, container, dir)
  const capabilities = await driver.probe({ dir: container.dir, pool: poolOf(kept) })
  if (!capabilities.usable) throw new HostError(`cannot restore '${name}': ${capabilities.reason}`, { hint: capabilities.hint })
  context.onStep?.({ text: `restoring '${name}' from '${found}'` })
  await replaceVolume(context, container, {
    old,
    driver,
    pool: poolOf(kept),
    sharing: capabilities.cow,
    // The ids of then may have been others.
    make: async (at) => await shiftVolume(paths, await driver.clone(kept, at, { signal }), shiftNow(old, kept), { signal }),
    ...(config === undefined ? {} : { config }),
  })
  // So that the next start needs no Node. A configuration that can't be compiled is told at the start.
  await writeCompiled(paths, name, { justMade: true }).catch(() => undefined)
  return { name, snapshot: found, configKept: config === undefined }
}

/** A new container from a snapshot, with ids, addresses and keys of its own. @throws NotFoundError · ExistsError with LXC's phrase */
export async function restoreAs(
  context: StoreContext,
  name: string,
  { snapshot, as }: { snapshot: string; as: string },
): Promise<ClonedContainer> {
  const { paths } = context
  const container = await findContainer(paths, name, 'restore')
  const found = await findSnapshot(container, snapshot, 'restore')
  const volume = await readVolumeIn(found.dir)
  const capabilities = volume === undefined ? undefined : await driverOf(paths, volume).probe({ dir: paths.lxcpath, pool: poolOf(volume) })
  const sharing = capabilities?.usable === true && capabilities.cow
  return await cloneContainer(context, as, { source: { name, snapshot: found.name }, sharing })
}

const shiftNow = (old: Volume, kept: Volume): number => (old.driver === kept.driver ? old : kept).shift ?? 0

/** The snapshot's, with the id range of now. */
async function configOf({ paths }: StoreContext, container: Container, dir: string): Promise<string | undefined> {
  const text = await readTextIfPresent(join(dir, 'config.yaml'))
  if (text === undefined) return undefined
  await requireFreeAddresses(paths, container, text)
  return withPresentIds(container.configFile, text, await readFile(container.configFile, 'utf8'))
}

function requireStopped({ paths }: StoreContext, { name }: Container): void {
  const { state, crashed } = stateOf(paths, name)
  if (crashed) {
    throw new StateError('state', `cannot restore '${name}': its monitor has crashed`, { hint: `tslxc stop -k ${name}` })
  }
  if (state === 'STOPPED') return
  throw new StateError('running', `cannot restore '${name}': it is running`, { hint: `tslxc stop ${name}` })
}
