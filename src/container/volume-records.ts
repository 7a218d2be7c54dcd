/** The volumes that were written down below an lxcpath, and the one a container runs from. */
import { join } from 'node:path'
import { freshSpec } from '../compile/fresh.ts'
import { StateError } from '../lib/errors.ts'
import type { Paths } from '../platform/paths.ts'
import type { Volume } from '../storage/driver.ts'
import { storageDriver, volumeText } from '../storage/index.ts'
import { snapshotDir, snapshotNames } from './snapshot/snapshot-store.ts'
import { type Container, entriesOf, listContainers, readVolume, readVolumeIn } from './store.ts'
import { dataVolumeNames, ownerOfVolume } from './volume/data-volume-names.ts'

export interface OwnedVolume {
  /** For people: `web`, `web@snap0`, `volume web-data`, `image 0123456789ab`. */
  readonly owner: string
  readonly volume: Volume
}

/** Of all containers and data volumes, of their snapshots, and of the images kept in the store. */
export async function listVolumes(paths: Paths): Promise<readonly OwnedVolume[]> {
  const data = dataVolumeNames(paths).map((name) => ({ shown: `volume ${name}`, owner: ownerOfVolume(paths, name) }))
  const owners = [...listContainers(paths).map((owner) => ({ shown: owner.name, owner })), ...data]
  const dirs = owners.flatMap(({ shown, owner }) => [
    { owner: shown, dir: owner.dir },
    ...snapshotNames(owner).map((snapshot) => ({ owner: `${shown}@${snapshot}`, dir: snapshotDir(owner, snapshot) })),
  ])
  const images = entriesOf(join(paths.lxcpath, '.images')).map((entry) => ({
    owner: `image ${entry.slice(0, 12)}`,
    dir: join(paths.lxcpath, '.images', entry),
  }))
  const found = await Promise.all(
    [...dirs, ...images].map(async ({ owner, dir }) => {
      const volume = await readVolumeIn(dir)
      return volume === undefined ? [] : [{ owner, volume }]
    }),
  )
  return found.flat()
}

/**
 * The volume that a container's `rootfs.path` says: the one that was made for it, or one that a person wrote there.
 * Undefined for a container without a root file system.
 * @throws ConfigError
 */
export async function liveVolume(paths: Paths, container: Container): Promise<Volume | undefined> {
  const said = freshSpec(paths, container.name)?.rootfsPath ?? (await configuredRootfs(paths, container))
  if (said === '') return undefined
  const made = await readVolume(container)
  if (made !== undefined && volumeText(made) === said) return made
  const [driver = ''] = said.split(':')
  return storageDriver(paths, driver).parse(said.slice(driver.length + 1))
}

/** `DRIVER:PATH`, empty for none. */
async function configuredRootfs(paths: Paths, { configFile }: Container): Promise<string> {
  const { loadConfig } = await import('../config/load.ts')
  const { config } = loadConfig(configFile, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0 })
  const said = config.rootfs?.path
  return said === undefined ? '' : `${said.driver}:${said.path}`
}

/** @throws StateError for a container without a root file system */
export async function requireVolume(paths: Paths, container: Container, verb: string): Promise<Volume> {
  const volume = await liveVolume(paths, container)
  if (volume !== undefined) return volume
  throw new StateError('state', `cannot ${verb} '${container.name}': it has no root file system`, {
    hint: `set rootfs.path in ${container.configFile}`,
  })
}
