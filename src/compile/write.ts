/** Compiles containers and writes spec.json and seccomp.bpf beside their config. Takes no lock: both are replaced whole. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/schema.ts'
import { type ConfiguredAddress, reconcileLeases } from '../network/leases.ts'
import { loadAddon } from '../platform/addon.ts'
import { containerDir, type Paths } from '../platform/paths.ts'
import type { Spec, Stamp } from '../runtime/spec.ts'
import { compileSpec } from './compile.ts'
import { type Gathered, type GatherOptions, gather } from './gather.ts'
import { SECCOMP_FILE } from './security.ts'
import { isSettled, readBuildId, SETTLE_MS, stampsOf } from './stamps.ts'

export interface Compiled {
  readonly spec: Spec
  /** What it was compiled from. */
  readonly config: Config
  /** An array of struct sock_filter. */
  readonly seccomp?: Buffer
  /** Whether the root file system has the limit that `limits.disk` says. */
  readonly hasLimit: boolean
}

export interface CompileOptions extends GatherOptions {
  /** The container's own files were written by the caller, under its lock: no edit of a person's can hide in their tick. */
  readonly justMade?: boolean
}

/** @throws ConfigError · NotFoundError · HostError */
export async function compileContainer(paths: Paths, name: string, options: CompileOptions = {}): Promise<Compiled> {
  const { gathered, stamps } = await gatherSettled(paths, name, options)
  const seccomp = gathered.seccomp
  const filter = seccomp && compileFilter(paths, seccomp)
  const spec = compileSpec({ ...gathered, stamps, build: readBuildId(paths.installRoot), hasSeccompFilter: filter !== undefined })
  const hasLimit = gathered.unsettled === undefined
  return { spec, config: gathered.loaded.config, hasLimit, ...(filter === undefined ? {} : { seccomp: filter }) }
}

let lastFilter: { readonly policy: string; readonly file: string; readonly filter: Buffer } | undefined

/** Many containers have the same policy. */
function compileFilter(paths: Paths, { policy, file }: NonNullable<Gathered['seccomp']>): Buffer {
  if (lastFilter?.policy !== policy || lastFilter.file !== file) {
    lastFilter = { policy, file, filter: loadAddon(paths.installRoot).compileSeccomp(policy, { file }) }
  }
  return lastFilter.filter
}

const MAX_ATTEMPTS = 10

/** Stamps that say what was read: none of the inputs changed while, or shortly before, it was. */
async function gatherSettled(
  paths: Paths,
  name: string,
  options: CompileOptions,
): Promise<{ gathered: Gathered; stamps: readonly Stamp[] }> {
  for (let attempt = 1; ; attempt++) {
    const started = BigInt(Date.now()) * 1_000_000n
    const gathered = gather(paths, name, options)
    const stamps = [...stampsOf(gathered.inputs), ...gathered.mustBeAbsent.map((path): Stamp => [path])]
    const own = options.justMade === true ? `${containerDir(paths, name)}/` : undefined
    const others = own === undefined ? stamps : stamps.filter(([path]) => !path.startsWith(own))
    if (isSettled(others, started) || attempt === MAX_ATTEMPTS) return { gathered, stamps }
    await sleep(SETTLE_MS)
  }
}

/** The cache that `start`, `ls` and others read. Native reads it again when a stamp differs, so it need not be durable. */
export async function writeCompiled(paths: Paths, name: string, options: CompileOptions = {}): Promise<Compiled> {
  const compiled = await compileContainer(paths, name, options)
  const { spec, seccomp } = compiled
  const dir = containerDir(paths, name)
  // The filter first: a spec must never name one that is not there.
  if (seccomp === undefined) rmSync(join(dir, SECCOMP_FILE), { force: true })
  else replace(join(dir, SECCOMP_FILE), seccomp)
  replace(join(dir, 'spec.json'), JSON.stringify(spec))
  await reconcileLeases(paths, { lxcpath: paths.lxcpath, name }, configuredAddresses(spec))
  return compiled
}

/** An edited address is what the container's name resolves to from now on. */
function configuredAddresses({ network }: Spec): ConfiguredAddress[] {
  return network.flatMap(({ index, link, hwaddr = '', addresses }) =>
    addresses.flatMap(({ family, address }) => (link === undefined || family !== 4 ? [] : [{ index, link, address, hwaddr }])),
  )
}

let sequence = 0

/** For caches: by rename, without a flush to the disk. */
export function replace(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.${sequence++}.tmp`
  try {
    writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
