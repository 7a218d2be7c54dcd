/** Which containers have a data volume: by their configurations, and by what they run with now. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import type { VolumeMount } from '../../config/volume-values.ts'
import { type Paths, runDir } from '../../platform/paths.ts'
import { type Container, listContainers, stateOf } from '../store.ts'
import type { DataVolume } from './data-volume.ts'

export interface VolumeUser {
  readonly name: string
  readonly isRunning: boolean
  /** Where the configuration wants it; absent: only what runs has it, or the configuration can't be read. */
  readonly target?: string
}

/** In the order of their names. */
export function usersOf(paths: Paths, { name, volume }: Pick<DataVolume, 'name' | 'volume'>): readonly VolumeUser[] {
  return listContainers(paths).flatMap((container) => {
    const said = mountsOf(paths, container)
    const mount = said?.find((one) => one.volume === name)
    const isRunning = stateOf(paths, container.name).state !== 'STOPPED'
    const runsWithIt = isRunning && textOf(join(runDir(paths, container.name), 'spec.json')).includes(JSON.stringify(volume.path))
    // A configuration that is broken now may be the right one tomorrow.
    const mayMeanIt = said === undefined && textOf(container.configFile).includes(name)
    if (mount === undefined && !runsWithIt && !mayMeanIt) return []
    return [{ name: container.name, isRunning: runsWithIt, ...(mount === undefined ? {} : { target: mount.target }) }]
  })
}

/** The data volumes of a configuration; undefined when it can't be read. */
export function mountsOf(paths: Paths, container: Container, file: string = container.configFile): readonly VolumeMount[] | undefined {
  try {
    return loadConfig(file, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0 }).config.volumes ?? []
  } catch {
    return undefined
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
