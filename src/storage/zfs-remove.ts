/** Removing datasets and snapshots, and what only stood for them. */
import { createHash } from 'node:crypto'
import { rmdirSync } from 'node:fs'
import { StateError } from '../lib/errors.ts'
import {
  datasetOf,
  HOLDER,
  hasModule,
  INTERNAL,
  isAbsent,
  isSnapshot,
  readProperties,
  rows,
  snapshotNameOf,
  snapshotsOf,
  type ZfsVolume,
  zfs,
  zfsIfThere,
} from './zfs-tools.ts'

const DIGITS = 16

/** The snapshot on which a clone stands, by the clone's name: what a crash left can be found by it. */
export const internalName = (clone: string): string => `${INTERNAL}${createHash('sha256').update(clone).digest('hex').slice(0, DIGITS)}`

const doing = (object: string) => ({ verb: 'destroy', object })

/** Absent is success. A dataset that stays for its snapshots goes with the last of them. */
export async function removeVolume(volume: ZfsVolume): Promise<void> {
  if (isSnapshot(volume)) await removeSnapshot(volume.path)
  else await removeDataset(volume)
}

async function removeDataset({ path, mountpoint: planned }: ZfsVolume): Promise<void> {
  await removeDeadViews(path)
  const found = await readProperties(path, ['origin', 'mountpoint', HOLDER])
  if (found === undefined) {
    if (planned !== undefined) removeMountpoint(planned)
    return await removeOrphan(path)
  }
  if (found.get(HOLDER) === 'on') {
    const kept = (await snapshotsOf(path)) ?? []
    if (kept.length > 0) return await stepAside(path, kept)
  }
  await zfsIfThere(['destroy', '-r', path], doing(path))
  const mountpoint = found.get('mountpoint') ?? 'none'
  if (mountpoint.startsWith('/')) removeMountpoint(mountpoint)
  const origin = found.get('origin') ?? '-'
  if (origin !== '-') await removeUnneeded(origin)
}

/** When nobody's record names a snapshot of it any more, only clones stand on it: its name is free for others. */
async function stepAside(path: string, snapshots: readonly string[]): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/'))
  const isAside = path.slice(parent.length + 1).startsWith(INTERNAL)
  if (isAside || !snapshots.every((snapshot) => snapshotNameOf(snapshot).startsWith(INTERNAL))) return
  await zfsIfThere(['rename', path, `${parent}/${internalName(`${path}\0${Date.now()}`)}`], doing(path))
}

/** Where clones need it, it goes with the last of them, and its name is free at once. */
async function removeSnapshot(path: string): Promise<void> {
  const dataset = datasetOf(path)
  await removeDeadViews(dataset)
  try {
    await zfs(['destroy', path], doing(path))
  } catch (error) {
    if (isAbsent(error)) return
    if (!(error instanceof StateError)) throw error
    const renamed = `${dataset}@${internalName(`${path}\0${Date.now()}`)}`
    // zfs-fuse may have renamed what it calls busy: asked again, it finds nothing there.
    await zfsIfThere(['rename', path, renamed], doing(path))
    await zfsIfThere(['destroy', '-d', renamed], doing(path))
  }
  await removeUnneeded(path)
}

/** After something that stood on a snapshot is gone. */
async function removeUnneeded(snapshot: string): Promise<void> {
  if (snapshotNameOf(snapshot).startsWith(INTERNAL)) await zfsIfThere(['destroy', '-d', snapshot], doing(snapshot))
  const dataset = datasetOf(snapshot)
  const found = await readProperties(dataset, [HOLDER])
  if (found?.get(HOLDER) === 'on') await removeDataset({ driver: 'zfs', path: dataset })
}

/** Of a clone that was not made any more. */
async function removeOrphan(clone: string): Promise<void> {
  const pool = clone.split('/', 1)[0] ?? clone
  const listed = await zfsIfThere(['list', '-H', '-r', '-t', 'snapshot', '-o', 'name', pool], doing(clone))
  const orphans = rows(listed ?? '').flatMap(([name = '']) => (name.endsWith(`@${internalName(clone)}`) ? [name] : []))
  for (const orphan of orphans) await zfsIfThere(['destroy', '-d', orphan], doing(orphan))
}

function removeMountpoint(mountpoint: string): void {
  try {
    rmdirSync(mountpoint)
  } catch {
    // gone already, or not empty: then it is not ours
  }
}

const VIEW = '.view-'

/** A dataset through which zfs-fuse shows a snapshot while this process runs. */
export const viewOf = (snapshot: string, number: number): string => `${datasetOf(snapshot)}${VIEW}${process.pid}-${number}`

/** Those whose process was killed. */
async function removeDeadViews(dataset: string): Promise<void> {
  const parent = dataset.slice(0, dataset.lastIndexOf('/'))

  if (hasModule() || parent === '') return
  const listed = await zfsIfThere(['list', '-H', '-r', '-d', '1', '-o', 'name', parent], doing(dataset))
  for (const [name = ''] of rows(listed ?? '')) {
    if (!name.startsWith(`${dataset}${VIEW}`)) continue
    if (!isAlive(Number.parseInt(name.slice(dataset.length + VIEW.length), 10))) await zfsIfThere(['destroy', name], doing(name))
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
