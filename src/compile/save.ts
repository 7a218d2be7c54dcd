/** Writing config.yaml: only when all of it is understood, and then as a whole. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { HostError, NotFoundError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { writeDurable } from '../platform/files.ts'
import { isRoot } from '../platform/host.ts'
import { withLock } from '../platform/locks.ts'
import { configFile, lockFile, type Paths, runDir } from '../platform/paths.ts'
import { compileSpec } from './compile.ts'
import { gather } from './gather.ts'

/** @throws NotFoundError */
export function readConfigText(paths: Paths, name: string): string {
  const file = configFile(paths, name)
  if (!existsSync(file)) throw noContainer(name)
  return readFileSync(file, 'utf8')
}

/** Not root: the directory is closed to us, so that nothing is known about it. */
export function noContainer(name: string): NotFoundError | HostError {
  if (!isRoot()) return new HostError(`cannot read container '${name}': only root may`, { code: 'permission', hint: 'run it with sudo' })
  return new NotFoundError(`container '${name}' does not exist`, { hint: "run 'tslxc ls' to see all" })
}

/** What `config.yaml` would be understood as with this text; the file itself stays as it is.
 *  @throws ConfigError · HostError */
export function checkConfig(paths: Paths, name: string, text: string): void {
  const gathered = gather(paths, name, { text })
  compileSpec({ ...gathered, stamps: [], build: '', hasSeccompFilter: gathered.seccomp !== undefined })
  if (gathered.seccomp !== undefined) loadAddon(paths.installRoot).compileSeccomp(gathered.seccomp.policy, { file: gathered.seccomp.file })
}

export interface ChangeRequest {
  readonly name: string
  /** Names us to others who wait. */
  readonly command: string
  readonly lockTimeoutMs: number
  readonly signal: AbortSignal
  /** The new text; the old one itself: nothing is written. */
  readonly change: (text: string, file: string) => string
}

/** Reads, changes, checks and writes under the container's lock. True when the text differs. */
export async function changeConfig(paths: Paths, request: ChangeRequest): Promise<boolean> {
  const { name, command, signal } = request
  readConfigText(paths, name)
  const path = lockFile(paths, name)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  return withLock(paths, { path, object: `'${name}'`, command, timeoutMs: request.lockTimeoutMs, signal }, async () => {
    const before = readConfigText(paths, name)
    const file = configFile(paths, name)
    const after = request.change(before, file)
    checkConfig(paths, name, after)
    if (after !== before) await writeDurable(file, after)
    return after !== before
  })
}

/** What to say when a change comes too late for the container that runs. */
export function laterNote(paths: Paths, name: string): string | undefined {
  const { state } = loadAddon(paths.installRoot).readState(runDir(paths, name))
  if (state === 'STOPPED') return undefined
  return `'${name}' is ${state}: the change applies at its next start`
}
