/** `limits.disk`: what the configuration says, and what the store enforces. */
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import { errorIn, type LoadedConfig } from '../../config/loaded.ts'
import { HostError, StateError, UsageError } from '../../lib/errors.ts'
import { loadAddon } from '../../platform/addon.ts'
import { lockFile, type Paths } from '../../platform/paths.ts'
import type { Volume } from '../../storage/driver.ts'
import { driverOf, poolOf, volumeText } from '../../storage/index.ts'
import { resizeInPlace } from '../pending.ts'
import { type Container, containerOf, readVolume, type StoreContext } from '../store.ts'

const LIMIT = ['limits', 'disk'] as const

export interface LimitOptions {
  /** Instead of the container's own config.yaml: `start -f`. */
  readonly rcfile?: string | undefined
  /** YAML that comes last: `start -s`. */
  readonly overrides?: readonly string[]
}

export const loadOwnConfig = (paths: Paths, container: Container, options: LimitOptions & { readonly text?: string } = {}): LoadedConfig =>
  loadConfig(options.rcfile ?? container.configFile, {
    confDirs: paths.confDirs,
    trustedUid: process.geteuid?.() ?? 0,
    ...(options.overrides === undefined ? {} : { overrides: options.overrides }),
    ...(options.text === undefined ? {} : { text: options.text }),
  })

/**
 * For the compiler, when it found a limit that is not in force: has it enforced if a start waits for us, which holds the
 * lock. Whoever only looks changes nothing. Whether it was done.
 * @throws ConfigError at the line of `limits.disk` when the store can't
 */
export async function settleLimit(context: StoreContext, name: string, options: LimitOptions = {}): Promise<boolean> {
  const { paths, command } = context
  const lock = loadAddon(paths.installRoot).tryLock(lockFile(paths, name), command, false)
  if ('release' in lock) {
    lock.release()
    return false
  }
  if (lock.pid !== process.ppid) return false
  const container = containerOf(paths, name)
  return (await bringLimit(context, container, loadOwnConfig(paths, container, options))) !== undefined
}

/**
 * Gives the root file system the limit that its configuration says, under the container's lock. Its new record; undefined
 * when the limit is in force already, and nothing is written then.
 * @param config text of config.yaml to come with it, which `loaded` is of
 * @throws ConfigError at the line of `limits.disk` when the store can't
 */
export async function bringLimit(
  context: StoreContext,
  container: Container,
  loaded: LoadedConfig,
  config?: string,
): Promise<Volume | undefined> {
  const limitBytes = loaded.config.limits?.disk
  const volume = await madeVolume(container, loaded)
  if (volume === undefined) {
    if (limitBytes !== undefined && loaded.config.rootfs?.path !== undefined) throw foreign(loaded)
    return undefined
  }
  if (volume.limitBytes === limitBytes) return undefined
  if (limitBytes !== undefined) await requireQuota(context.paths, container, volume, loaded)
  try {
    return await resizeInPlace(context, container, volume, { limitBytes, ...(config === undefined ? {} : { config }) })
  } catch (error) {
    const isRefusal = error instanceof HostError || error instanceof StateError || error instanceof UsageError
    if (!isRefusal || limitBytes === undefined) throw error
    // Some file systems want more rights for growing while they are in use.
    const hint = error.hint ?? (error.code === 'permission' ? `tslxc stop ${container.name}` : undefined)
    throw errorIn(loaded, LIMIT, `limits.disk: ${error.message}`, { ...(hint === undefined ? {} : { hint }), cause: error })
  }
}

/** The limit that a text of config.yaml says; undefined also for a text that says nothing that is understood. */
export function limitIn(paths: Paths, container: Container, text: string): number | undefined {
  try {
    return loadOwnConfig(paths, container, { text }).config.limits?.disk
  } catch {
    return undefined
  }
}

/** Only what was made here: what a person's path leads to is the person's. */
async function madeVolume(container: Container, { config }: LoadedConfig): Promise<Volume | undefined> {
  const said = config.rootfs?.path
  const made = await readVolume(container)
  return said !== undefined && made !== undefined && volumeText(made) === `${said.driver}:${said.path}` ? made : undefined
}

const foreign = (loaded: LoadedConfig) =>
  errorIn(loaded, LIMIT, 'limits.disk: rootfs.path leads to what was not made with this container, so it is not resized', {
    hint: 'leave limits.disk out, and set a limit with the tools of its storage',
  })

async function requireQuota(paths: Paths, container: Container, volume: Volume, loaded: LoadedConfig): Promise<void> {
  const capabilities = await driverOf(paths, volume).probe({ dir: placeOf(container, volume), pool: poolOf(volume) })
  if (!capabilities.usable || capabilities.quota === true) return
  const { reason, hint } = capabilities.quota
  throw errorIn(loaded, LIMIT, `limits.disk: ${reason}`, { hint })
}

/** Where its files lie: not always in the container's directory. */
function placeOf({ dir }: Container, volume: Volume): string {
  if ('dir' in volume && typeof volume.dir === 'string') return volume.dir
  const status = volume.path.startsWith('/') ? statSync(volume.path, { throwIfNoEntry: false }) : undefined
  return status !== undefined && (status.isDirectory() || status.isFile()) ? dirname(volume.path) : dir
}

export const readOwnText = ({ configFile }: Container): string => readFileSync(configFile, 'utf8')
