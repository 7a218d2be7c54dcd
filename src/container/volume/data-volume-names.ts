/** Where data volumes are and which there are: by volume.yaml, whose presence means that one exists. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { nameProblem } from '../../lib/names.ts'
import { type Paths, volumeDir } from '../../platform/paths.ts'
import { type Container, entriesOf } from '../store.ts'

export const DATA_VOLUME = 'volume.yaml'

/** What owns snapshots and replacements, as a container does; the name is the one that stores see. */
export const ownerOfVolume = (paths: Paths, name: string): Container => {
  const dir = volumeDir(paths, name)
  return { name: `volume-${name}`, dir, configFile: join(dir, DATA_VOLUME) }
}

export const dataVolumeExists = (paths: Paths, name: string): boolean => existsSync(ownerOfVolume(paths, name).configFile)

/** Sorted. */
export const dataVolumeNames = (paths: Paths): readonly string[] =>
  entriesOf(join(paths.lxcpath, '.volumes'))
    .filter((name) => nameProblem(name) === undefined && dataVolumeExists(paths, name))
    .sort()
