/** System settings for a command, without YAML and schema while settings.json is fresh. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CompiledSettings } from '../compile/settings.ts'
import { isStale, readBuildId } from '../compile/stamps.ts'
import type { Paths } from '../platform/paths.ts'

/** @throws ConfigError · HostError `permission` about tslxc.yaml */
export async function readSettings(paths: Paths): Promise<CompiledSettings> {
  const file = join(paths.runBase, 'settings.json')
  if (!isStale(file, readBuildId(paths.installRoot))) return JSON.parse(readFileSync(file, 'utf8')) as CompiledSettings
  const { compileSettings, writeSettings } = await import('../compile/settings.ts')
  try {
    return writeSettings(paths)
  } catch (error) {
    // An ordinary user can read the settings, and not keep them.
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return compileSettings(paths)
    throw error
  }
}
