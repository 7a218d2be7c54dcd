/** The `zfs` and `zpool` commands of OpenZFS and of zfs-fuse: only what both take, one process a step. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { BusyError, CommandError, ExistsError, HostError, StateError, UsageError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { Volume } from './driver.ts'

export interface ZfsVolume extends Volume {
  readonly driver: 'zfs'
  /** Where zfs-fuse mounts it on the host. Absent for a path that a person wrote. */
  readonly mountpoint?: string
  /** Kept by zfs-fuse: it can only be mounted by its daemon, and never idmapped. */
  readonly fuse?: true
}

const TIMEOUT_MS = 120_000
/** zfs-fuse hears of an unmount after the kernel has done it. */
const BUSY_ATTEMPTS = 20
const BUSY_WAIT_MS = 50
/** Of snapshots that only hold up clones. */
export const INTERNAL = 'tslxc-'
/** User property of a dataset whose content was replaced, and which stays for its snapshots. */
export const HOLDER = 'tslxc:holder'

/** The kernel's module; without it the tools talk to a zfs-fuse daemon. */
export const hasModule = (): boolean => existsSync('/sys/module/zfs')
/** Since OpenZFS 2.2, on Linux 5.12. */
export function canIdmap(): boolean {
  const [, major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(moduleVersion())?.map(Number) ?? []
  return major > 2 || (major === 2 && minor >= 2)
}

function moduleVersion(): string {
  try {
    return readFileSync('/sys/module/zfs/version', 'utf8')
  } catch {
    return ''
  }
}

export const isSnapshot = ({ path }: Pick<Volume, 'path'>): boolean => path.includes('@')
export const datasetOf = (path: string): string => path.split('@', 1)[0] ?? path
export const snapshotNameOf = (path: string): string => path.slice(path.indexOf('@') + 1)
const poolOf = (path: string): string => datasetOf(path).split('/', 1)[0] ?? path

export interface Doing {
  /** `create`, for messages. */
  readonly verb: string
  readonly object: string
  readonly signal?: AbortSignal | undefined
}

/** @throws ExistsError · BusyError · StateError · HostError · CommandError */
export async function zfs(args: readonly string[], doing: Doing): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await run(['zfs', ...args], { timeoutMs: TIMEOUT_MS, signal: doing.signal })).stdout
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      const isLettingGo = !hasModule() && /busy/.test(error.stderr) && attempt < BUSY_ATTEMPTS
      if (!isLettingGo) throw explained(error, doing)
      await sleep(BUSY_WAIT_MS)
    }
  }
}

/** Undefined when there is no such dataset. */
export async function zfsIfThere(args: readonly string[], doing: Doing): Promise<string | undefined> {
  try {
    return await zfs(args, doing)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

export const isAbsent = (error: unknown): boolean => {
  const cause = error instanceof HostError ? error.cause : error
  return cause instanceof CommandError && /does not exist|no such pool|could not find any snapshots/.test(cause.stderr)
}

/** Properties of one dataset; undefined when it is absent. Numbers are bytes. */
export async function readProperties(path: string, names: readonly string[]): Promise<ReadonlyMap<string, string> | undefined> {
  const args = ['get', '-H', '-p', '-o', 'property,value', names.join(','), path]
  const text = await zfsIfThere(args, { verb: 'read', object: path })
  return text === undefined ? undefined : new Map(rows(text).map(([name = '', value = '']) => [name, value]))
}

/** Names of the snapshots of one dataset, oldest first; undefined when it is absent. */
export async function snapshotsOf(dataset: string): Promise<readonly string[] | undefined> {
  const args = ['list', '-H', '-r', '-d', '1', '-t', 'snapshot', '-o', 'name', dataset]
  const text = await zfsIfThere(args, { verb: 'read', object: dataset })
  return text === undefined ? undefined : rows(text).flatMap(([name]) => (name?.startsWith(`${dataset}@`) ? [name] : []))
}

export const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.includes('\t') || /^[^\s]+$/.test(line))
    .map((line) => line.split('\t'))

function explained(error: CommandError, { verb, object }: Doing): Error {
  const { stderr } = error
  const said = (reason: string): string => `cannot ${verb} '${object}': ${reason}`
  const cause = { cause: error }
  if (/already exists/.test(stderr)) return new ExistsError(said('there is a dataset of that name already'), cause)
  if (/has dependent clones|has children/.test(stderr)) {
    const clones = namedDatasets(stderr).join(', ')
    return new StateError('state', said(`clones need it: ${clones}`), { ...cause, hint: `zfs list -o name,origin -r ${poolOf(object)}` })
  }
  if (/busy/.test(stderr)) return new BusyError(said(`it is in use${holders(object)}`), { ...cause, hint: `umount '${object}'` })
  if (/out of space|[Nn]o space/.test(stderr)) {
    const pool = poolOf(object)
    return new HostError(said(`the pool '${pool}' is full`), { ...cause, code: 'no-space', hint: `zpool list ${pool}` })
  }
  if (/less than current used/.test(stderr)) return new HostError(said('its content is larger'), { ...cause, code: 'no-space' })
  if (/name is too long|invalid character/.test(stderr)) return new UsageError(said('ZFS takes no such name'), cause)
  if (/I\/O is currently suspended|suspended/.test(stderr)) {
    return new HostError(said(`the pool '${poolOf(object)}' is suspended`), { ...cause, hint: `zpool clear ${poolOf(object)}` })
  }
  if (/read-?only/i.test(stderr)) {
    return new HostError(said(`the pool '${poolOf(object)}' is read-only`), { ...cause, hint: `zpool status ${poolOf(object)}` })
  }
  if (/does not exist|no such pool/.test(stderr)) {
    return new HostError(said('there is no such dataset, or its pool is not imported'), { ...cause, hint: 'zpool import' })
  }
  return new HostError(said(stderr.trim().split('\n').at(-1) ?? error.message), cause)
}

const namedDatasets = (stderr: string): string[] => {
  const lines = stderr.split('\n').map((line) => line.trim())
  return lines.slice(lines.findIndex((line) => /following datasets/.test(line)) + 1).filter((line) => /^[\w.:/@-]+$/.test(line))
}

/** Processes in whose mount namespace it is mounted. */
function holders(dataset: string): string {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && isMountedFor(entry, dataset))
  return pids.length === 0 ? '' : ` by the mount namespace of process ${pids.slice(0, 3).join(', ')}`
}

function isMountedFor(pid: string, dataset: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(` ${dataset} `)
  } catch {
    return false
  }
}
