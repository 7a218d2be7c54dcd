/** Making data volumes, whole or not at all: by a command, or when a container needs one. */

import { existsSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { readSettings } from '../../compile/settings.ts'
import { loadConfig } from '../../config/load.ts'
import type { VolumeMount } from '../../config/volume-values.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { HostError } from '../../lib/errors.ts'
import { ensureDir, removeFile, writeDurable, writeJson } from '../../platform/files.ts'
import { volumeDir } from '../../platform/paths.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { poolOf } from '../../storage/index.ts'
import { chooseStorage, type StorageDefaults } from '../create/choose-storage.ts'
import { writeJournal } from '../journal.ts'
import { PENDING } from '../pending.ts'
import { type Container, CREATING, type StoreContext, volumeFile, volumeRecord } from '../store.ts'
import { liveVolume } from '../volume-records.ts'
import {
  checkVolumeName,
  type DataVolume,
  type DataVolumeRecord,
  dataRef,
  lockDataVolume,
  requireFreePlace,
  sweepDataVolume,
} from './data-volume.ts'
import { DATA_VOLUME, dataVolumeExists, ownerOfVolume } from './data-volume-names.ts'

export interface VolumeWish extends Pick<DataVolumeRecord, 'madeFor' | 'size' | 'keep'> {
  /** As `create -B` takes it. Absent: the default of `tslxc.yaml`. */
  readonly driver?: string | undefined
  /** Where nothing is said. */
  readonly defaults?: StorageDefaults
  /** Instead of an empty one; after a failure nothing of it is left. */
  readonly make?: (driver: StorageDriver, at: VolumeRef) => Promise<Volume>
}

/** @throws ExistsError; UsageError; HostError when the storage can't be used, or can't hold it to its size */
export async function createDataVolume(context: StoreContext, name: string, wish: VolumeWish): Promise<DataVolume> {
  checkVolumeName(name)
  using _lock = await lockDataVolume(context, name)
  requireFreePlace(context, name)
  return await make(context, name, wish)
}

/** Under the volume's lock. */
async function make(context: StoreContext, name: string, wish: VolumeWish): Promise<DataVolume> {
  const { paths } = context
  const { driver, pool } = await storageFor(context, wish)
  const owner = ownerOfVolume(paths, name)
  const at = dataRef(owner, pool)
  await ensureDir(join(owner.dir, '..'))
  await ensureDir(owner.dir)
  try {
    await writeJournal(context, owner.dir, [await driver.locate(at)])
    context.onStep?.({ text: `making volume '${name}'` })
    const volume = await (wish.make?.(driver, at) ?? makeEmpty(driver, at, wish, context.signal))
    const { madeFor, size, keep } = wish
    const record: DataVolumeRecord = {
      created: new Date().toISOString(),
      ...(madeFor === undefined ? {} : { madeFor }),
      ...(size === undefined ? {} : { size }),
      ...(keep === undefined ? {} : { keep }),
    }
    await writeJson(volumeFile(owner.dir), volumeRecord(volume))
    await syncFileSystem(paths, owner.dir)
    throwIfAborted(context.signal)
    const { stringify } = await import('yaml')
    await writeDurable(join(owner.dir, DATA_VOLUME), stringify(record))
    await removeFile(join(owner.dir, CREATING))
    return { name, volume, ...record }
  } catch (error) {
    if (!dataVolumeExists(paths, name)) await sweepDataVolume(context, owner)
    throw error
  }
}

async function makeEmpty(driver: StorageDriver, at: VolumeRef, { size }: VolumeWish, signal: AbortSignal | undefined): Promise<Volume> {
  const made = await driver.create(at, { signal })
  const limited = size === undefined || made.limitBytes === size ? made : await driver.resize(made, size)
  // The guest's root gives it to whom it likes.
  await driver.withMounted(limited, (root) => chmod(root, 0o755))
  return limited
}

async function storageFor({ paths }: StoreContext, { driver, size, defaults }: VolumeWish): ReturnType<typeof chooseStorage> {
  const known = defaults ?? readSettings(paths).storage
  // Layers are for root file systems.
  const bdev = (driver ?? known.bdev)
    .split(',')
    .map((word) => (word === 'overlay' || word === 'overlayfs' ? 'dir' : word))
    .join(',')
  const choice = await chooseStorage(paths, { bdev }, known, size)
  const capabilities = await choice.driver.probe({ dir: paths.lxcpath, pool: choice.pool })
  if (capabilities.usable && capabilities.idmap === false) {
    throw new HostError(`cannot make a data volume on ${choice.driver.name}: its mounts can't translate ids, which differ by container`, {
      hint: 'driver: dir, or tslxc volume create -B dir',
    })
  }
  return choice
}

export interface ConfigChoice {
  readonly rcfile?: string | undefined
  readonly overrides?: readonly string[]
}

/** Those of a configuration that have to be made, or gone on with, before a start. None when it can't be read. */
export function unreadyVolumes({ paths }: StoreContext, container: Container, choice: ConfigChoice = {}): readonly VolumeMount[] {
  const { rcfile = container.configFile, overrides = [] } = choice
  try {
    const { config } = loadConfig(rcfile, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0, overrides })
    const isReady = ({ volume }: VolumeMount): boolean =>
      dataVolumeExists(paths, volume) && !existsSync(join(volumeDir(paths, volume), PENDING))
    return (config.volumes ?? []).filter((mount) => !isReady(mount))
  } catch {
    return [] // the compiler says what is wrong with it
  }
}

/** Under the container's lock: makes what it needs, on the storage that it has itself where nothing else is said. */
export async function readyVolumes(context: StoreContext, container: Container, mounts: readonly VolumeMount[]): Promise<void> {
  for (const { volume: name, size, keep, driver } of mounts) {
    using _lock = await lockDataVolume(context, name)
    if (dataVolumeExists(context.paths, name)) continue
    requireFreePlace(context, name)
    const own = await liveVolume(context.paths, container)
    await make(context, name, {
      madeFor: container.name,
      driver,
      ...(size === undefined ? {} : { size }),
      ...(keep === undefined ? {} : { keep }),
      ...(own === undefined ? {} : { defaults: { bdev: own.driver, pool: withoutSize(poolOf(own)) } }),
    })
  }
}

/** The size of a root file system says nothing about that of its data. */
const withoutSize = ({ sizeBytes: _, ...pool }: ReturnType<typeof poolOf>): ReturnType<typeof poolOf> => pool
