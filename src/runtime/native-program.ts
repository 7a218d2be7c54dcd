/** Running verbs that are the native program's, from functions that need their effect. */
import { join } from 'node:path'
import { run, runAttached, runWhile } from '../platform/exec.ts'
import type { Paths } from '../platform/paths.ts'

export const nativeProgram = (paths: Pick<Paths, 'installRoot'>): string => join(paths.installRoot, 'dist/tslxc')

export interface StopOptions {
  /** Kill at once. Also cleans up after a container whose monitor has crashed. */
  readonly kill: boolean
  /** Wait this long before killing; the program's own default when absent. */
  readonly timeoutSeconds?: number
  readonly signal?: AbortSignal | undefined
}

/** LXC's exit code of `stop` for a container that does not run. */
const NOT_RUNNING = 2

/**
 * Stops a container; one that does not run is fine. Must not be called under the container's lock, which the cleaning
 * after a crash takes.
 * @throws CommandError
 */
export async function stopContainer(paths: Paths, name: string, options: StopOptions): Promise<void> {
  const how = options.kill ? ['-k'] : options.timeoutSeconds === undefined ? [] : ['-t', String(options.timeoutSeconds)]
  await run([nativeProgram(paths), 'stop', '-P', paths.lxcpath, ...how, name], {
    env: { TSLXC_ROOT: paths.root },
    okCodes: [0, NOT_RUNNING],
    signal: options.signal,
  })
}

/**
 * Runs `action` while a container stands still. It goes on when that is over, also when this process is killed. One that
 * is frozen already stays so.
 * @throws CommandError when it can't be frozen
 */
export async function whileFrozen<T>(paths: Paths, name: string, action: () => Promise<T>): Promise<T> {
  return await runWhile([nativeProgram(paths), 'freeze', '-P', paths.lxcpath, '--hold', name], { env: { TSLXC_ROOT: paths.root } }, action)
}

/**
 * Starts containers in the background.
 * @throws CommandError when one does not come up
 */
export async function startContainers(paths: Paths, names: readonly string[]): Promise<void> {
  await run([nativeProgram(paths), 'start', '-P', paths.lxcpath, ...names], { env: { TSLXC_ROOT: paths.root } })
}

/** Starts one on the caller's own terminal; the exit code. */
export const startAttached = (paths: Paths, name: string): Promise<number> =>
  runAttached([nativeProgram(paths), 'start', '-F', '-P', paths.lxcpath, name], { env: { TSLXC_ROOT: paths.root } })
