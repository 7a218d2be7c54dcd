/** Removing snapshots of a container. */
import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { StateError } from '../../lib/errors.ts'
import { renameDurable } from '../../platform/files.ts'
import { driverOf, volumeText } from '../../storage/index.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { lockExisting } from '../settle.ts'
import { type Container, DESTROYING, readVolumeIn, type StoreContext } from '../store.ts'
import { listVolumes } from '../volume-records.ts'
import { ALL_SNAPSHOTS, findSnapshot, listSnapshots, removeSnapshotDir, SNAPSHOT, type Snapshot, snapshotsDir } from './snapshot-store.ts'

/**
 * Removes a snapshot, or all of them (`ALL`), newest first.
 * @throws NotFoundError; StateError that names who needs it
 */
export async function removeSnapshots(context: StoreContext, name: string, snapshot: string): Promise<readonly Snapshot[]> {
  using held = await lockExisting(context, name, 'remove a snapshot of')
  const { container } = held
  const all = snapshot === ALL_SNAPSHOTS
  const wanted = all ? (await listSnapshots(container)).toReversed() : [await findSnapshot(container, snapshot, 'remove')]
  for (const one of wanted) await removeSnapshot(context, container, one)
  if (all) await rmdir(snapshotsDir(container)).catch(() => undefined)
  return wanted
}

/** Under the container's lock. */
export async function removeSnapshot(context: StoreContext, container: Container, snapshot: Snapshot): Promise<void> {
  throwIfAborted(context.signal)
  await requireNotMounted(container, 'remove a snapshot of', { snapshot: snapshot.name })
  await requireNoDependents(context, container, snapshot)
  // The commit point: from here on there is no such snapshot, and only forward is possible.
  await renameDurable(join(snapshot.dir, SNAPSHOT), join(snapshot.dir, DESTROYING))
  await removeSnapshotDir(context, container, snapshot.name)
}

async function requireNoDependents({ paths }: StoreContext, { name }: Container, snapshot: Snapshot): Promise<void> {
  const volume = await readVolumeIn(snapshot.dir)
  if (volume === undefined) return
  const others = (await listVolumes(paths)).filter((other) => volumeText(other.volume) !== volumeText(volume))
  const found = await driverOf(paths, volume).dependents(
    volume,
    others.map((other) => other.volume),
  )
  if (found.length === 0) return
  const texts = new Set(found.map(volumeText))
  const owners = others.filter((other) => texts.has(volumeText(other.volume))).map(({ owner }) => `'${owner}'`)
  throw new StateError('state', `cannot remove snapshot '${snapshot.name}' of '${name}': ${owners.join(', ')} would break without it`, {
    hint: 'tslxc tree shows what was made from what',
  })
}
