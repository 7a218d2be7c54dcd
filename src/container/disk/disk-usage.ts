/** What containers, their snapshots, and what several of them share take of the disk. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadAddon } from '../../platform/addon.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Usage, Volume } from '../../storage/driver.ts'
import { driverOf } from '../../storage/index.ts'
import { emptyLayerOf, layersDir } from '../../storage/layers.ts'
import { fileSystemUsage, type StoreUsage, storeKey, storeUsage } from '../../storage/stores.ts'
import { listPoolImages } from '../create/pool-image.ts'
import { listSnapshots } from '../snapshot/snapshot-store.ts'
import { containerOf, entriesOf, readVolumeIn } from '../store.ts'
import { liveVolume } from '../volume-records.ts'

/** Measuring a tree is mostly waiting for the disk. */
const AT_ONCE = 4

export interface DiskRow extends Partial<Usage> {
  /** A container's, or `web@snap0`. */
  readonly name: string
  /** Absent: no root file system. */
  readonly driver?: string
  /** Why there are no numbers. */
  readonly error?: unknown
}

export interface ContainerUsage extends DiskRow {
  /** Oldest first; absent: not asked for. */
  readonly snapshots?: readonly DiskRow[]
}

export interface SharedUsage {
  readonly what: 'images' | 'layers' | 'trash'
  readonly count: number
  readonly usedBytes: number
}

export interface DiskUsage {
  readonly containers: readonly ContainerUsage[]
  /** What is nobody's alone; absent: only some containers were asked for. */
  readonly shared?: readonly SharedUsage[]
  readonly stores: readonly StoreUsage[]
  /** Of all that is listed. */
  readonly totalUsedBytes: number
}

interface Target {
  readonly name: string
  /** @throws what the row shall say */
  readonly find: () => Promise<Volume | undefined>
}

/**
 * In the order of the names; one that can't be measured says so in its row. Takes no lock.
 * @param options `all`: with what is shared
 */
export async function measureDisk(
  paths: Paths,
  names: readonly string[],
  options: { readonly snapshots: boolean; readonly all: boolean },
): Promise<DiskUsage> {
  const { default: pLimit } = await import('p-limit')
  const limit = pLimit(AT_ONCE)
  const volumes: Volume[] = []
  const measure = (target: Target): Promise<DiskRow> => limit(() => rowOf(paths, target, volumes))
  const containers = await Promise.all(
    names.map(async (name): Promise<ContainerUsage> => {
      const container = containerOf(paths, name)
      const row = measure({ name, find: () => liveVolume(paths, container) })
      if (!options.snapshots) return await row
      const taken = (await listSnapshots(container)).map(({ name: snapshot, dir }) =>
        measure({ name: `${name}@${snapshot}`, find: () => readVolumeIn(dir) }),
      )
      return { ...(await row), snapshots: await Promise.all(taken) }
    }),
  )
  const shared = options.all ? await sharedUsage(paths, (work) => limit(work)) : undefined
  const rows = containers.flatMap((row) => [row, ...(row.snapshots ?? [])])
  const totalUsedBytes = [...rows, ...(shared ?? [])].reduce((sum, { usedBytes = 0 }) => sum + usedBytes, 0)
  return { containers, ...(shared === undefined ? {} : { shared }), stores: await storesOf(paths, volumes), totalUsedBytes }
}

async function rowOf(paths: Paths, { name, find }: Target, volumes: Volume[]): Promise<DiskRow> {
  let driver: string | undefined
  try {
    const volume = await find()
    if (volume === undefined) return { name }
    driver = volume.driver
    volumes.push(volume)
    return { name, driver, ...(await driverOf(paths, volume).usage(volume)) }
  } catch (error) {
    return { name, ...(driver === undefined ? {} : { driver }), error }
  }
}

type Limit = <T>(work: () => Promise<T>) => Promise<T>

async function sharedUsage(paths: Paths, limit: Limit): Promise<readonly SharedUsage[]> {
  const addon = loadAddon(paths.installRoot)
  const images = (await listPoolImages(paths)).flatMap(({ volume }) => volume ?? [])
  const layers = entriesOf(layersDir(paths))
    .filter((entry) => !entry.startsWith('.'))
    .map((entry) => join(layersDir(paths), entry, 'rootfs'))
    .filter((layer) => layer !== emptyLayerOf(paths.lxcpath))
  const trash = join(paths.lxcpath, '.trash')
  const sum = async (works: readonly (() => Promise<{ readonly usedBytes: number }>)[]): Promise<number> =>
    (await Promise.all(works.map((work) => limit(work)))).reduce((total, { usedBytes }) => total + usedBytes, 0)
  const trees = (dirs: readonly string[]) => sum(dirs.filter((dir) => existsSync(dir)).map((dir) => () => addon.treeUsage(dir)))
  return [
    {
      what: 'images',
      count: images.length,
      usedBytes: await sum(images.map((volume) => () => driverOf(paths, volume).usage(volume))),
    },
    { what: 'layers', count: layers.length, usedBytes: await trees(layers) },
    { what: 'trash', count: entriesOf(trash).length, usedBytes: await trees([trash]) },
  ]
}

/** Each once, the one of the lxcpath first. One that is not there has said so in the rows of what lies in it. */
export async function storesOf(paths: Paths, volumes: readonly Volume[]): Promise<readonly StoreUsage[]> {
  const found = new Map<string, StoreUsage>()
  const own = fileSystemUsage(paths.lxcpath)
  found.set(own.name, own)
  for (const volume of volumes) {
    try {
      const key = storeKey(volume)
      if (!found.has(key)) found.set(key, await storeUsage(volume))
    } catch {
      // Its volumes can't be measured either.
    }
  }
  return [...found.values()]
}
