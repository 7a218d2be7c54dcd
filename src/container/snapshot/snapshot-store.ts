/**
 * Snapshots as they stand on the disk: `<container>/snaps/<snapshot>/` with config.yaml, volume.json and snapshot.yaml,
 * whose presence means that the snapshot exists. Whatever else stands there a command left that died.
 */
import { existsSync, lstatSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { NotFoundError, UsageError } from '../../lib/errors.ts'
import { nameProblem } from '../../lib/names.ts'
import { readJson, readTextIfPresent, removeFile, removeStaleTemporaries } from '../../platform/files.ts'
import type { Pool, Volume, VolumeRef } from '../../storage/driver.ts'
import { JOURNAL_VERSION, type Journal } from '../journal.ts'
import { type Container, CREATING, DESTROYING, entriesOf, isBare, nearestName, readVolumeIn, type StoreContext } from '../store.ts'
import { discardDir, discardVolume } from '../trash.ts'

export const SNAPSHOT = 'snapshot.yaml'
/** LXC's word for every snapshot; no snapshot can have it as its name. */
export const ALL_SNAPSHOTS = 'ALL'

/** snapshot.yaml, for people too. */
export interface SnapshotRecord {
  /** RFC 3339. */
  readonly created: string
  /** As it was given, newlines included. */
  readonly note?: string
  /** RFC 3339: `snapshot --due` removes it from then on. */
  readonly expires?: string
  /** The schedule took it, and may thin it out. */
  readonly scheduled?: true
}

export interface Snapshot extends SnapshotRecord {
  readonly name: string
  readonly dir: string
}

export const snapshotsDir = ({ dir }: Container): string => join(dir, 'snaps')
export const snapshotDir = (container: Container, snapshot: string): string => join(snapshotsDir(container), snapshot)

/** Where a snapshot's volume stands. */
export const snapshotRef = (container: Container, snapshot: string, pool: Pool = {}): VolumeRef => ({
  dir: snapshotDir(container, snapshot),
  name: 'rootfs',
  label: `${container.name}@${snapshot}`,
  pool,
})

/** What stands where snapshots are, without files of ours beside them. */
const places = (container: Container): string[] => entriesOf(snapshotsDir(container)).filter((name) => nameProblem(name) === undefined)

/** Of those that exist, in no order. */
export const snapshotNames = (container: Container): string[] =>
  places(container).filter((name) => existsSync(join(snapshotDir(container, name), SNAPSHOT)))

/** Oldest first. */
export async function listSnapshots(container: Container): Promise<readonly Snapshot[]> {
  const found = await Promise.all(snapshotNames(container).map((name) => readSnapshot(container, name)))
  return found.flat().sort((a, b) => Date.parse(a.created) - Date.parse(b.created) || a.name.localeCompare(b.name, 'en', { numeric: true }))
}

async function readSnapshot(container: Container, name: string): Promise<Snapshot[]> {
  const dir = snapshotDir(container, name)
  const text = await readTextIfPresent(join(dir, SNAPSHOT))
  if (text === undefined) return [] // removed in this very moment
  const { parse } = await import('yaml')
  return [{ ...(parse(text) as SnapshotRecord), name, dir }]
}

/** @throws NotFoundError, whose hint names the one that was probably meant */
export async function findSnapshot(container: Container, name: string, verb: string): Promise<Snapshot> {
  const [found] = nameProblem(name) === undefined ? await readSnapshot(container, name) : []
  if (found !== undefined) return found
  const names = snapshotNames(container)
  const cannot = `cannot ${verb} snapshot '${name}' of '${container.name}'`
  if (names.length === 0) {
    throw new NotFoundError(`${cannot}: it has no snapshots`, { hint: `tslxc snapshot ${container.name}` })
  }
  const near = await nearestName(name, names)
  throw new NotFoundError(`${cannot}: there is no such snapshot`, {
    hint: near === undefined ? `tslxc snapshot -L ${container.name}` : `did you mean '${near}'?`,
  })
}

/** @throws UsageError */
export function checkSnapshotName(name: string): void {
  const problem = name === ALL_SNAPSHOTS ? 'it stands for all of them' : nameProblem(name)
  if (problem !== undefined) throw new UsageError(`cannot use the snapshot name '${name}': ${problem}`)
}

/** LXC's: `snap` and the lowest free number. */
export function nextSnapshotName(container: Container): string {
  const taken = new Set(places(container))
  let number = 0
  while (taken.has(`snap${number}`)) number++
  return `snap${number}`
}

/** Volumes of the snapshots of a container, of half-made and half-removed ones too; in no order. */
export async function snapshotVolumes(container: Container): Promise<readonly Volume[]> {
  const names = places(container)
  const found = await Promise.all(names.map((name) => volumesIn(snapshotDir(container, name))))
  return found.flat()
}

async function volumesIn(dir: string): Promise<readonly Volume[]> {
  const volume = await readVolumeIn(dir)
  if (volume !== undefined) return [volume]
  return (await readJson<Journal>(join(dir, CREATING), JOURNAL_VERSION))?.volumes ?? []
}

/** Under the container's lock: finishes removals and undoes snapshots that a crash broke off. Whether there were any. */
export async function sweepSnapshots(context: StoreContext, container: Container): Promise<boolean> {
  let swept = false
  for (const name of places(container)) {
    const dir = snapshotDir(container, name)
    if (existsSync(join(dir, SNAPSHOT))) {
      await removeStaleTemporaries(dir)
      if (!existsSync(join(dir, CREATING))) continue
      // The crash was between the commit and the end of the journal.
      await removeFile(join(dir, CREATING))
    } else {
      // What is neither ours nor empty is left alone.
      if (![CREATING, DESTROYING].some((file) => existsSync(join(dir, file))) && !isBare(dir)) continue
      await removeSnapshotDir(context, container, name)
    }
    swept = true
  }
  return swept
}

/** The rest of a snapshot whose snapshot.yaml is gone; done twice it does nothing. What says so goes last. */
export async function removeSnapshotDir({ paths }: StoreContext, container: Container, name: string): Promise<void> {
  const dir = snapshotDir(container, name)
  for (const volume of await volumesIn(dir)) await discardVolume(paths, volume, { dir, name: container.name })
  const entries = entriesOf(dir)
  // A tree that is left is deleted behind; a few files are gone at once.
  if (entries.some((entry) => lstatSync(join(dir, entry)).isDirectory())) return await discardDir(paths, dir, `${container.name}@${name}`)
  const isMark = (entry: string): boolean => entry === CREATING || entry === DESTROYING
  for (const entry of [...entries.filter((one) => !isMark(one)), ...entries.filter(isMark)]) await rm(join(dir, entry), { force: true })
  if (existsSync(dir)) await rmdir(dir)
}
