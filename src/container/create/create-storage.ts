/** The root file system of a new container: where it shall be, and how an image gets there. */
import { existsSync } from 'node:fs'
import { basename, dirname, isAbsolute } from 'node:path'
import { readSettings } from '../../compile/settings.ts'
import { loadConfig } from '../../config/load.ts'
import { ExistsError, HostError, UsageError } from '../../lib/errors.ts'
import { printSize } from '../../lib/units.ts'
import { configFile, type Paths } from '../../platform/paths.ts'
import type { StorageDriver, Volume, VolumeRef } from '../../storage/driver.ts'
import { copyVolume } from '../../storage/generic.ts'
import { driverOf, poolOf } from '../../storage/index.ts'
import { type DeviceSizes, deviceSizes } from '../device-size.ts'
import { containerOf, rootfsRef } from '../store.ts'
import type { Creation } from '../transaction.ts'
import { type ConfigLayer, draftConfig } from './build-config.ts'
import { chooseStorage, type PassedOver, type StorageChoice, type StorageWish } from './choose-storage.ts'
import { type PreparedTemplate, type Surroundings, withTemplateImage } from './images.ts'
import { withPoolImage } from './pool-image.ts'

export interface RootfsPlan extends StorageChoice {
  readonly at: VolumeRef
  /** limits.disk */
  readonly limitBytes?: number
}

/** What the person is told. */
export interface CreatedStorage {
  readonly driver: string
  /** What the configuration says. */
  readonly path: string
  readonly limitBytes?: number
  /** Where there was something to choose. */
  readonly why?: string
  readonly passedOver: readonly PassedOver[]
}

/** @throws UsageError · ExistsError */
export function checkPlace({ storage: { dir }, template }: { readonly storage: StorageWish; readonly template: string }): void {
  if (dir === undefined) return
  if (!isAbsolute(dir)) throw new UsageError(`cannot use --dir '${dir}': it is not an absolute path`)
  if (template === 'none') throw new UsageError("cannot use --dir: template 'none' makes no root file system")
  // It is removed when the creation fails: nobody else's must be taken for ours.
  if (existsSync(dir)) throw new ExistsError(`cannot create '${dir}': it already exists`, { hint: 'pass a path that is not there yet' })
}

interface RootfsWish {
  readonly wish: StorageWish
  readonly name: string
  readonly layers: readonly ConfigLayer[]
}

/** Chooses, says what, and makes nothing. */
export async function planRootfs(around: Surroundings, { wish, name, layers }: RootfsWish): Promise<RootfsPlan> {
  const { paths, onStep } = around
  const limitBytes = wantedLimit(paths, name, layers)
  const choice = await chooseStorage(paths, wish, readSettings(paths).storage, limitBytes)
  if (choice.why !== undefined) onStep({ text: `storage: ${choice.driver.name} (${choice.why})` })
  const own = rootfsRef(containerOf(paths, name), choice.pool)
  const at = wish.dir === undefined ? own : { ...own, dir: dirname(wish.dir), name: basename(wish.dir) }
  return { ...choice, at, ...(limitBytes === undefined ? {} : { limitBytes }) }
}

/** limits.disk of the layers and of what they include. */
function wantedLimit(paths: Paths, name: string, layers: readonly ConfigLayer[]): number | undefined {
  if (!layers.some(({ text }) => /disk|include/.test(text))) return undefined
  const text = draftConfig({ layers, hostname: 'none', shares: [], dns: [] }).toString()
  try {
    return loadConfig(configFile(paths, name), { confDirs: paths.confDirs, text }).config.limits?.disk
  } catch {
    // The check of the whole configuration names it with its line.
    return undefined
  }
}

/** Of a file that is included by one that could not be read before. @throws HostError */
export function requireLimit(plan: RootfsPlan, limitBytes: number | undefined): void {
  if (limitBytes === plan.limitBytes) return
  throw new HostError(`cannot limit the root file system to ${printSize(limitBytes ?? 0)}: limits.disk stands in an included file`, {
    hint: 'set limits.disk in the file itself',
  })
}

interface RootfsSource {
  readonly storage: RootfsPlan
  readonly prepared: PreparedTemplate
}

type CachedImage = Parameters<Parameters<typeof withTemplateImage>[2]>[0]
type SizedPlan = RootfsPlan & { readonly sizes?: DeviceSizes }

/** A clone of the image where that shares its content, else a copy; with its limit. */
export async function makeVolume(creation: Creation, around: Surroundings, { storage, prepared }: RootfsSource): Promise<Volume> {
  return await withTemplateImage(around, prepared, async (image) => {
    const { driver, at, limitBytes } = storage
    const sizes = await deviceSizes(driver, at, image)
    const sized = sizes === undefined ? storage : { ...storage, sizes, at: { ...at, pool: { ...at.pool, sizeBytes: sizes.volume } } }
    const isClone = storage.cow && image.volume.driver !== driver.name
    const volume = await (isClone ? cloneImage : copy)(creation, around, sized, image)
    if (limitBytes !== undefined) return limitBytes === volume.limitBytes ? volume : await driver.resize(volume, limitBytes)
    if (sizes === undefined || (poolOf(volume).sizeBytes ?? sizes.volume) >= sizes.volume) return volume
    // A size is no limit of the configuration's.
    const { limitBytes: _, ...grown } = await driver.resize(volume, sizes.volume)
    return grown
  })
}

async function cloneImage(creation: Creation, around: Surroundings, { driver, at, sizes }: SizedPlan, image: CachedImage): Promise<Volume> {
  const { sizeBytes: _, ...elsewhere } = at.pool
  const pool = sizes === undefined ? elsewhere : { ...elsewhere, sizeBytes: sizes.image }
  return await withPoolImage(around, { driver, pool }, image, async (pooled) => {
    await creation.willMake(await driver.locate(at))
    return await driver.clone(pooled, at, { signal: around.signal })
  })
}

async function copy(creation: Creation, around: Surroundings, { driver, at }: RootfsPlan, { volume: image }: CachedImage): Promise<Volume> {
  const { paths, signal, onStep } = around
  onStep({ text: 'copying the root file system' })
  await creation.willMake(await driver.locate(at))
  const from: StorageDriver = driverOf(paths, image)
  return from.name === driver.name ? await driver.clone(image, at, { signal }) : await copyVolume(paths, image, { driver, at }, { signal })
}

export function createdStorage(plan: RootfsPlan, { driver, path, limitBytes }: Volume): CreatedStorage {
  return {
    driver,
    path: `${driver}:${path}`,
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(plan.why === undefined ? {} : { why: plan.why }),
    passedOver: plan.passedOver,
  }
}
