/** Data volumes: what was made for each, and how its storage driver wants it mounted. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadedConfig } from '../config/loaded.ts'
import { type Paths, volumeDir } from '../platform/paths.ts'
import type { MountSource } from '../runtime/spec.ts'
import { driverOf } from '../storage/index.ts'
import { readVolume } from './rootfs.ts'

export interface VolumesInput {
  readonly sources: ReadonlyMap<string, MountSource>
  /** Files that they were taken from, or that were looked for. */
  readonly inputs: readonly string[]
  /** Some are not made yet: a start has to have them made first. */
  readonly isIncomplete: boolean
}

export function gatherVolumes(paths: Paths, { config }: LoadedConfig): VolumesInput {
  const sources = new Map<string, MountSource>()
  const inputs: string[] = []
  let isIncomplete = false
  for (const { volume: name } of config.volumes ?? []) {
    const dir = volumeDir(paths, name)
    const record = join(dir, 'volume.json')
    const made = existsSync(join(dir, 'volume.yaml')) ? readVolume(record) : undefined
    inputs.push(record, join(dir, 'volume.yaml'), join(dir, 'pending.json'))
    if (made === undefined) isIncomplete = true
    sources.set(
      name,
      made === undefined ? { kind: 'bind', path: join(dir, 'data'), recursive: false } : driverOf(paths, made).rootfsPlan(made),
    )
  }
  return { sources, inputs, isIncomplete }
}
