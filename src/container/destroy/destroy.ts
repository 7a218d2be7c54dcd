/** Destroying a container: refused or done, never half; what a crash leaves half-done the next call finishes. */
import { join } from 'node:path'
import { freshSpec, valuesOf } from '../../compile/fresh.ts'
import type { LoadedConfig } from '../../config/loaded.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { StateError, TslxcError } from '../../lib/errors.ts'
import { checkName } from '../../lib/names.ts'
import type { LockHandle } from '../../platform/addon.ts'
import { removeFile, renameDurable } from '../../platform/files.ts'
import { stopContainer } from '../../runtime/native-program.ts'
import { finishRenames } from '../copy/rename-journal.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { settle } from '../settle.ts'
import type { Container, StoreContext } from '../store.ts'
import { containerExists, containerOf, DESTROYING, isLeftover, lockContainer, notFound, readVolume, stateOf, volumeFile } from '../store.ts'
import { sweepCrashed, sweepDestruction } from '../sweep.ts'
import { sweepTrash } from '../trash.ts'
import { fatesOf } from '../volume/data-volume-change.ts'
import { requireNoDependents } from './dependents.ts'

export interface DestroyOptions {
  /** Stop it first. */
  readonly force: boolean
  /** With its snapshots; `destroyContainers` takes what was cloned from it along, too. */
  readonly snapshots: boolean
}

export interface DestroyReport {
  readonly name: string
  /** It was running, and was killed. */
  readonly stopped: boolean
  /** Only what a crashed command had left was removed. */
  readonly leftovers: boolean
  /** Said to the person: what could not be done as it should. */
  readonly warnings: readonly string[]
}

// It can be started again between the kill and our lock.
const STOP_ATTEMPTS = 3

/**
 * Removes a container: its snapshots, root file system, addresses, ids and directory.
 * @throws NotFoundError; StateError when it runs and `force` is not set; TslxcError that holds what every failing step
 *   said, after which the same call goes on where it was left
 */
export async function destroyContainer(context: StoreContext, name: string, options: DestroyOptions): Promise<DestroyReport> {
  checkName(name)
  const container = containerOf(context.paths, name)
  sweepTrash(context.paths)
  if (!containerExists(context.paths, name) && !isLeftover(container)) throw await notFound(context.paths, name, 'destroy')
  const { lock, stopped } = await lockStopped(context, name, options.force)
  try {
    await finishRenames(context, [name])
    if (!containerExists(context.paths, name)) return await removeLeftovers(context, container, stopped)
    await settle(context, container)
    await requireNotMounted(container, 'destroy', 'all')
    await requireNoDependents(context, container, options)
    const warnings = await destroyExisting(context, container)
    return { name, stopped, leftovers: false, warnings }
  } finally {
    lock.release()
  }
}

/** The lock, with the container stopped and no crash to clean up after. */
async function lockStopped(context: StoreContext, name: string, force: boolean): Promise<{ lock: LockHandle; stopped: boolean }> {
  let stopped = false
  for (let attempt = 1; ; attempt++) {
    const lock = await lockContainer(context, name)
    const { state, crashed } = stateOf(context.paths, name)
    if (state === 'STOPPED' && !crashed) return { lock, stopped }
    // The native program takes the lock itself where it cleans up.
    lock.release()
    if (state !== 'STOPPED' && (!force || attempt > STOP_ATTEMPTS)) {
      throw new StateError('running', `Destroying ${name} failed: ${name} is running`, { hint: `tslxc destroy -f ${name}` })
    }
    if (crashed && attempt > STOP_ATTEMPTS) throw new StateError('state', `cannot clean up after '${name}', whose monitor has crashed`)
    context.onStep?.({ text: `stopping '${name}'` })
    await stopContainer(context.paths, name, { kill: true, signal: context.signal })
    stopped ||= state !== 'STOPPED'
  }
}

/** An ephemeral container has destroyed itself when it was stopped; a crashed command may have left half of one. */
async function removeLeftovers(context: StoreContext, container: Container, stopped: boolean): Promise<DestroyReport> {
  const { name } = container
  const leftovers = await together(name, () => sweepCrashed(context, container))
  if (!leftovers && !stopped) throw await notFound(context.paths, name, 'destroy')
  return { name, stopped, leftovers, warnings: [] }
}

async function destroyExisting(context: StoreContext, container: Container): Promise<string[]> {
  const { name, dir, configFile } = container
  const warnings = await prepareDestruction(context, container)
  for (const { name: volume, stays } of await fatesOf(context.paths, container, configFile)) {
    if (stays !== undefined) warnings.push(`volume '${volume}' stays: ${stays}`)
  }
  throwIfAborted(context.signal)
  context.onStep?.({ text: `removing '${name}'` })
  // The commit point: from here on it is no container, and only forward is possible.
  await renameDurable(configFile, join(dir, DESTROYING))
  await together(name, () => sweepDestruction(context, container))
  return warnings
}

/** Under the lock, before anything is removed: its hooks, and what is not ours to remove. Warnings. */
export async function prepareDestruction(context: StoreContext, container: Container): Promise<string[]> {
  throwIfAborted(context.signal)
  const spec = freshSpec(context.paths, container.name)
  if (spec !== undefined && ['hook.destroy', 'rootfs.managed'].every((key) => valuesOf(spec, key).length === 0)) return []
  const loaded = await readConfig(context, container)
  if (typeof loaded === 'string') return [`hook.destroy was not looked at: ${loaded}`]
  const { runDestroyHooks } = await import('../host-hooks.ts')
  await runDestroyHooks(context, container, loaded)
  if (loaded.config.rootfs?.managed === false) await disownVolume(container)
  throwIfAborted(context.signal)
  return []
}

/** The reason instead, when the configuration is broken: a container must be destroyable all the same. */
async function readConfig({ paths }: StoreContext, { configFile }: Container): Promise<LoadedConfig | string> {
  const { loadConfig } = await import('../../config/load.ts')
  try {
    return loadConfig(configFile, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0 })
  } catch (error) {
    if (error instanceof TslxcError && error.code !== 'internal') return error.message
    throw error
  }
}

/** rootfs.managed: 0 means that the storage stays. */
async function disownVolume(container: Container): Promise<void> {
  const volume = await readVolume(container)
  if (volume === undefined) return
  if (volume.path.startsWith(`${container.dir}/`)) {
    throw new StateError(
      'state',
      `Destroying ${container.name} failed: rootfs.managed is 0, and '${volume.path}' would go with the directory`,
      {
        hint: `move '${volume.path}' away, or set rootfs.managed to 1 in ${container.configFile}`,
      },
    )
  }
  await removeFile(volumeFile(container.dir))
}

/** Failures of single steps as one error. */
export async function together<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    const errors: unknown[] = error instanceof AggregateError ? error.errors : [error]
    const reasons = errors.map((reason) => (reason instanceof Error ? reason.message : String(reason)))
    const first = errors[0]
    const code = first instanceof TslxcError ? first.code : 'internal'
    const hint = first instanceof TslxcError && first.hint !== undefined ? `${first.hint}, then ` : ''
    throw new TslxcError(code, `Destroying ${name} failed: ${reasons.join('; ')}`, {
      hint: `${hint}tslxc destroy ${name}`,
      cause: error,
    })
  }
}
