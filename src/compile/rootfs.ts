/** The root file system: what `rootfs.path` says, and how its storage driver wants it mounted. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorIn, type LoadedConfig } from '../config/loaded.ts'
import { UsageError } from '../lib/errors.ts'
import type { Paths } from '../platform/paths.ts'
import type { MountSource } from '../runtime/spec.ts'
import type { Volume } from '../storage/driver.ts'
import { storageDriver, volumeText } from '../storage/index.ts'
import { rootfsText } from './compile.ts'

export interface RootfsInput {
  /** Absent: rootfs.path is not set. */
  readonly source?: MountSource
  /** First id of its owners on the disk, where no mount can translate them. */
  readonly shift?: number
  /** Files that it was taken from, or that were looked for. */
  readonly inputs: readonly string[]
  /** volume.json, where its limit is not what the configuration says. */
  readonly unsettled?: string
}

/**
 * By volume.json where it is about this path; else a person wrote the path, and the driver reads it.
 * @throws ConfigError for a path that the driver does not take
 */
export function gatherRootfs(paths: Paths, loaded: LoadedConfig, containerDir: string): RootfsInput {
  const said = loaded.config.rootfs?.path
  const record = join(containerDir, 'volume.json')
  if (said === undefined) return { inputs: [record] }
  try {
    const driver = storageDriver(paths, said.driver)
    const made = readVolume(record)
    const isMade = made !== undefined && volumeText(made) === rootfsText(loaded.config)
    const volume = isMade ? made : driver.parse(said.path)
    const hasLimit = loaded.config.limits?.disk === (isMade ? made.limitBytes : undefined)
    const shift = volume.shift === undefined ? {} : { shift: volume.shift }
    return { source: driver.rootfsPlan(volume), ...shift, inputs: [record], ...(hasLimit ? {} : { unsettled: record }) }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw errorIn(loaded, ['rootfs', 'path'], error.message, { ...(error.hint === undefined ? {} : { hint: error.hint }), cause: error })
  }
}

/** Undefined when there is none. */
export function readVolume(file: string): Volume | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  return (JSON.parse(text) as { readonly volume: Volume }).volume
}
