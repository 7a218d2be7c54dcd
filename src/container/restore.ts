/** Putting a snapshot into the place of what a container is now. */
import { join } from 'node:path'
import { StateError } from '../lib/errors.ts'
import { readTextIfPresent } from '../platform/files.ts'
import { driverOf } from '../storage/index.ts'
import { replaceVolume } from './pending.ts'
import { lockExisting } from './settle.ts'
import { findSnapshot } from './snapshot-store.ts'
import { type Container, poolOf, readVolumeIn, type StoreContext, stateOf } from './store.ts'
import { requireVolume } from './volume-records.ts'

export interface RestoreReport {
  readonly name: string
  readonly snapshot: string
}

/**
 * Makes a stopped container what it was when a snapshot was taken: its root file system and its configuration. Until the
 * new content is in place the old one is there. All snapshots stay.
 * @throws NotFoundError; StateError when it runs
 */
export async function restoreSnapshot(context: StoreContext, name: string, snapshot: string): Promise<RestoreReport> {
  using held = await lockExisting(context, name, 'restore')
  const { container } = held
  const { dir, name: found } = await findSnapshot(container, snapshot, 'restore')
  requireStopped(context, container)
  const { paths, signal } = context
  const old = await requireVolume(paths, container, 'restore')
  const kept = await readVolumeIn(dir)
  if (kept === undefined) throw new StateError('state', `cannot restore '${name}': snapshot '${found}' has no volume.json`)
  const driver = driverOf(paths, kept)
  const config = await readTextIfPresent(join(dir, 'config.yaml'))
  context.onStep?.({ text: `restoring '${name}' from '${found}'` })
  await replaceVolume(context, container, {
    old,
    driver,
    pool: poolOf(kept),
    make: (at) => driver.clone(kept, at, { signal }),
    ...(config === undefined ? {} : { config }),
  })
  return { name, snapshot: found }
}

function requireStopped({ paths }: StoreContext, { name }: Container): void {
  const { state, crashed } = stateOf(paths, name)
  if (crashed) {
    throw new StateError('state', `cannot restore '${name}': its monitor has crashed`, { hint: `tslxc stop -k ${name}` })
  }
  if (state === 'STOPPED') return
  throw new StateError('running', `cannot restore '${name}': it is running`, { hint: `tslxc stop ${name}` })
}
