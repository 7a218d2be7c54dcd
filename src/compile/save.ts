/** Writing config.yaml: only when all of it is understood, and then as a whole. */
import { existsSync, readFileSync } from 'node:fs'
import type { LoadedConfig } from '../config/loaded.ts'
import { HostError, NotFoundError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { writeDurable } from '../platform/files.ts'
import { isRoot } from '../platform/host.ts'
import { configFile, type Paths, runDir } from '../platform/paths.ts'
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
export function checkConfig(paths: Paths, name: string, text: string): LoadedConfig {
  const gathered = gather(paths, name, { text })
  compileSpec({ ...gathered, stamps: [], build: '', hasSeccompFilter: gathered.seccomp !== undefined })
  if (gathered.seccomp !== undefined) loadAddon(paths.installRoot).compileSeccomp(gathered.seccomp.policy, { file: gathered.seccomp.file })
  return gathered.loaded
}

export interface ChangeRequest {
  readonly name: string
  /** Takes the container's lock, with all that a crash broke off made up for. */
  readonly lock: () => Promise<Disposable>
  /** The new text; the old one itself: nothing is written. */
  readonly change: (text: string, file: string) => string
  /** Does at once what needs no start, under the lock; true: the file has the new text by then. */
  readonly apply?: (edit: Edit) => Promise<boolean>
}

export interface Edit {
  readonly before: string
  readonly after: string
  /** `after`, with what it includes. */
  readonly loaded: LoadedConfig
}

/** Reads, changes, checks and writes under the container's lock. True when the text differs. */
export async function changeConfig(paths: Paths, request: ChangeRequest): Promise<boolean> {
  const { name } = request
  readConfigText(paths, name)
  using _held = await request.lock()
  const before = readConfigText(paths, name)
  const file = configFile(paths, name)
  const after = request.change(before, file)
  const loaded = checkConfig(paths, name, after)
  if (after === before) return false
  const isWritten = await request.apply?.({ before, after, loaded })
  if (isWritten !== true) await writeDurable(file, after)
  return true
}

/** What to say when a change comes too late for the container that runs. */
export function laterNote(paths: Paths, name: string): string | undefined {
  const { state } = loadAddon(paths.installRoot).readState(runDir(paths, name))
  if (state === 'STOPPED') return undefined
  return `'${name}' is ${state}: the change applies at its next start`
}
