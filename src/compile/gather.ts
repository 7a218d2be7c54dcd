/** Everything a spec is compiled from, read from the disk and checked. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../config/load.ts'
import { errorIn, type LoadedConfig } from '../config/loaded.ts'
import { type FstabEntry, fstabEntry } from '../config/mount-values.ts'
import { PermissionCheck } from '../config/permissions.ts'
import { ConfigError, NotFoundError } from '../lib/errors.ts'
import { BadValue } from '../lib/fields.ts'
import { findManagedNetwork, isBridgeName, type ManagedNetwork, networkFile } from '../network/managed-file.ts'
import { configFile, containerDir, type Paths } from '../platform/paths.ts'
import type { CompileInput, GuestRecord } from './input.ts'
import { gatherRootfs } from './rootfs.ts'
import { checkRootfs, checkShares } from './share-checks.ts'
import { gatherVolumes } from './volumes.ts'

export interface GatherOptions {
  /** Instead of the container's own config.yaml: `start -f`. */
  readonly rcfile?: string
  /** Stands for the content of config.yaml. */
  readonly text?: string
  /** YAML that comes last: `start -s`. */
  readonly overrides?: readonly string[]
  readonly join?: CompileInput['join']
  /** Of many containers compiled at once. */
  readonly permissions?: PermissionCheck
}

export interface Gathered extends Omit<CompileInput, 'stamps' | 'build' | 'hasSeccompFilter'> {
  /** Files, directories and absent paths the result depends on. */
  readonly inputs: readonly string[]
  /** While one of these is there, every start asks the compiler anew. */
  readonly mustBeAbsent: readonly string[]
  /** The record of the root file system, whose limit is not yet what `limits.disk` says. */
  readonly unsettled?: string
  /** Text of the seccomp policy and where it stands; absent: none. */
  readonly seccomp?: { readonly policy: string; readonly file: string }
}

/** @throws ConfigError · NotFoundError · HostError `permission` */
export function gather(paths: Paths, name: string, options: GatherOptions = {}): Gathered {
  const file = options.rcfile ?? configFile(paths, name)
  const permissions = options.permissions ?? new PermissionCheck(process.geteuid?.() ?? 0)
  const loaded = loadConfig(file, {
    confDirs: paths.confDirs,
    permissions,
    ...(options.text === undefined ? {} : { text: options.text }),
    ...(options.overrides === undefined ? {} : { overrides: options.overrides }),
  })
  const rootfs = gatherRootfs(paths, loaded, containerDir(paths, name))
  checkRootfs(loaded, rootfs.source)
  const volumes = gatherVolumes(paths, loaded)
  const recordFile = join(containerDir(paths, name), 'record.json')
  // While it is there the root file system is being replaced; a start then asks the compiler, which finishes that first.
  const pendingFile = join(containerDir(paths, name), 'pending.json')
  const guest = readGuest(recordFile)
  const bridges = managedBridges(loaded, paths)
  const read = [...fstabFiles(loaded), ...hookFiles(loaded), ...seccompFiles(loaded, paths)]
  for (const path of read) permissions.check(path)
  const seccomp = readSeccomp(loaded, paths)
  return {
    name,
    configFile: file,
    containerDir: containerDir(paths, name),
    isVolatile: options.rcfile !== undefined && statSync(containerDir(paths, name), { throwIfNoEntry: false }) === undefined,
    loaded,
    ...(guest === undefined ? {} : { guest }),
    ...(rootfs.source === undefined ? {} : { rootfs: rootfs.source }),
    ...(rootfs.unsettled === undefined ? {} : { unsettled: rootfs.unsettled }),
    ...(rootfs.shift === undefined ? {} : { rootfsShift: rootfs.shift }),
    volumes: volumes.sources,
    fstab: readFstab(loaded),
    fileShares: checkShares(loaded),
    managed: bridges.networks,
    join: options.join ?? {},
    ...(seccomp === undefined ? {} : { seccomp }),
    // A root file system that is mounted on the host is in no one's way once it is not; a record whose limit is another
    // than the configuration's is there until a start has the limit applied. The configuration is always there: with a
    // data volume to be made there is no plan that a start could take.
    mustBeAbsent: [
      join(containerDir(paths, name), 'host-mounts.json'),
      ...(rootfs.unsettled === undefined ? [] : [rootfs.unsettled]),
      ...(volumes.isIncomplete ? [file] : []),
    ],
    inputs: [...new Set([...loaded.inputs, recordFile, ...rootfs.inputs, ...volumes.inputs, pendingFile, ...bridges.files, ...read])],
  }
}

function readGuest(file: string): GuestRecord | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  return (JSON.parse(text) as { readonly guest?: GuestRecord }).guest
}

function managedBridges({ config }: LoadedConfig, paths: Paths): { networks: Map<string, ManagedNetwork>; files: string[] } {
  const networks = new Map<string, ManagedNetwork>()
  const names = new Set((config.net ?? []).flatMap(({ link }) => (link === undefined || !isBridgeName(link) ? [] : [link])))
  for (const name of names) {
    const network = findManagedNetwork(paths, name)
    if (network !== undefined) networks.set(name, network)
  }
  return { networks, files: [...names].map((name) => networkFile(paths, name)) }
}

const fstabFiles = ({ config }: LoadedConfig): readonly string[] => (config.mount?.fstab === undefined ? [] : [config.mount.fstab])

function readFstab(loaded: LoadedConfig): readonly FstabEntry[] {
  const [file] = fstabFiles(loaded)
  if (file === undefined) return []
  return readConfigured(loaded, ['mount', 'fstab'], file)
    .split('\n')
    .flatMap((line, index) => {
      if (/^\s*(#|$)/.test(line)) return []
      try {
        return [fstabEntry(line)]
      } catch (error) {
        if (!(error instanceof BadValue)) throw error
        const place = { file, line: index + 1, column: 1, excerpt: `${line}\n^` }
        throw new ConfigError(error.message, place, error.hint === undefined ? {} : { hint: error.hint })
      }
    })
}

/** Hooks on the host's side: those of `start` are the guest's. */
function hookFiles({ config }: LoadedConfig): readonly string[] {
  const { hook, net } = config
  const commands = [
    ...(hook?.['pre-start'] ?? []),
    ...(hook?.['pre-mount'] ?? []),
    ...(hook?.mount ?? []),
    ...(hook?.autodev ?? []),
    ...(hook?.['start-host'] ?? []),
    ...(hook?.stop ?? []),
    ...(hook?.['post-stop'] ?? []),
    ...(net ?? []).flatMap(({ script }) => [...(script?.up ?? []), ...(script?.down ?? [])]),
  ]
  return commands.flatMap(([program]) => (program?.startsWith('/') ? [program] : []))
}

function seccompFiles({ config }: LoadedConfig, paths: Paths): readonly string[] {
  const profile = config.seccomp?.profile ?? 'default'
  if (profile === 'none') return []
  if (profile !== 'default') return [profile]
  const candidates = paths.confDirs.map((dir) => join(dir, 'seccomp/default'))
  const found = candidates.findIndex((file) => statSync(file, { throwIfNoEntry: false }) !== undefined)
  return found < 0 ? candidates : candidates.slice(0, found + 1)
}

function readSeccomp(loaded: LoadedConfig, paths: Paths): Gathered['seccomp'] {
  const file = seccompFiles(loaded, paths).at(-1)
  return file === undefined ? undefined : { policy: readConfigured(loaded, ['seccomp', 'profile'], file), file }
}

function readConfigured(loaded: LoadedConfig, path: readonly string[], file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (loaded.origins.find(path) === undefined) throw new NotFoundError(`cannot read '${file}': there is no such file`, { cause })
    throw errorIn(loaded, path, `${path.join('.')}: cannot read '${file}'`, { cause })
  }
}
