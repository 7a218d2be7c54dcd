/** Snapshots as they are shown. */
import { printSizeRounded } from '../../lib/units.ts'
import type { Paths } from '../../platform/paths.ts'
import { driverOf } from '../../storage/index.ts'
import { containerOf, readVolumeIn } from '../store.ts'
import { listSnapshots, type SnapshotRecord, snapshotsDir } from './snapshot-store.ts'

export interface ListedSnapshot extends SnapshotRecord {
  readonly name: string
  readonly snapshot: string
  /** Where the snapshots of this container are. */
  readonly dir: string
  /** Bytes that would come free with it. */
  readonly usedBytes?: number
}

/** Of some containers, oldest first. Takes no lock. */
export async function listSnapshotsOf(paths: Paths, names: readonly string[], withSizes: boolean): Promise<readonly ListedSnapshot[]> {
  const found: ListedSnapshot[] = []
  for (const name of names) {
    const container = containerOf(paths, name)
    for (const { name: snapshot, dir, ...record } of await listSnapshots(container)) {
      const usedBytes = withSizes ? await usedBy(paths, dir) : undefined
      found.push({ name, snapshot, ...record, dir: snapshotsDir(container), ...(usedBytes === undefined ? {} : { usedBytes }) })
    }
  }
  return found
}

async function usedBy(paths: Paths, dir: string): Promise<number | undefined> {
  const volume = await readVolumeIn(dir)
  return volume === undefined ? undefined : (await driverOf(paths, volume).usage(volume)).usedBytes
}

/** LXC's lines: name, directory, local time. Notes stand as they were given behind the line. */
export function snapshotsText(snapshots: readonly ListedSnapshot[], show: { readonly notes: boolean }): string {
  if (snapshots.length === 0) return 'No snapshots\n'
  return snapshots
    .map(({ snapshot, dir, created, note, usedBytes }) => {
      const size = usedBytes === undefined ? '' : ` ${printSizeRounded(usedBytes)}`
      return `${snapshot} (${dir}) ${stampText(new Date(created))}${size}\n${show.notes ? (note ?? '') : ''}`
    })
    .join('')
}

const two = (number: number): string => String(number).padStart(2, '0')

/** `2026:08:20 09:56:40`, in the local time zone. */
export function stampText(time: Date): string {
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join(':')
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')}`
}
