/** The root file system of a copy: cloned by its driver where that is what is wanted, else copied file by file. */
import { HostError, UsageError } from '../lib/errors.ts'
import type { Pool, StorageDriver, Volume, VolumeRef } from '../storage/driver.ts'
import { copyVolume } from '../storage/generic.ts'
import { driverOf, storageDriver } from '../storage/index.ts'
import type { CopySource } from './copy-source.ts'
import { type Container, poolOf, rootfsRef, type StoreContext } from './store.ts'
import type { Creation } from './transaction.ts'

export interface VolumeWishes {
  /** Sharing blocks with the source. */
  readonly sharing: boolean
  /** Name of a storage driver; absent: the source's. */
  readonly storage?: string | undefined
  readonly pool?: Pool | undefined
}

export interface VolumePlan {
  readonly from: Volume
  readonly driver: StorageDriver
  readonly how: 'clone' | 'copy'
  /** Where the volume of a copy shall be. */
  readonly at: (copy: Container) => VolumeRef
}

/** @throws UsageError · HostError when the storage can't do what is asked */
export async function planVolume(
  { paths }: StoreContext,
  source: CopySource,
  wishes: VolumeWishes,
  targetLxcpath: string,
): Promise<VolumePlan | undefined> {
  const { volume: from } = source
  if (from === undefined) return undefined
  const { name } = source.container
  const driver = wishes.storage === undefined ? driverOf(paths, from) : storageDriver(paths, wishes.storage)
  const isSame = driver.name === from.driver
  // A copy lies where its source lies, where nothing else is asked for.
  const pool = { ...(isSame ? poolOf(from) : {}), ...wishes.pool }
  if (wishes.sharing && !isSame) {
    throw new UsageError(`cannot copy '${name}' copy-on-write to '${driver.name}': it lies in '${from.driver}'`, {
      hint: 'leave -s or -B out',
    })
  }
  const capabilities = await driver.probe({ dir: targetLxcpath, pool })
  if (!capabilities.usable) {
    throw new HostError(`cannot copy '${name}' to '${driver.name}': ${capabilities.reason}`, { hint: capabilities.hint })
  }
  if (wishes.sharing && !capabilities.cow) {
    throw new HostError(`cannot copy '${name}' copy-on-write: its storage '${driver.name}' can't`, { hint: `leave -s out: a full copy` })
  }
  const how = isSame && (wishes.sharing || capabilities.clonesAreCopies === true) ? 'clone' : 'copy'
  return { from, driver, how, at: (copy) => rootfsRef(copy, pool) }
}

/** The journal knows of it already. After a failure nothing is left. */
export async function makeCopyVolume({ context, container }: Creation, { from, driver, how, at }: VolumePlan): Promise<Volume> {
  const { paths, signal } = context
  if (how === 'clone') return await driver.clone(from, at(container), { signal })
  return await copyVolume(paths, from, { driver, at: at(container) }, { signal })
}
