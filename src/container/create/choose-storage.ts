/** Which storage a new root file system gets: the one that was asked for, the first of a list that can, or the best there is. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { HostError, UsageError } from '../../lib/errors.ts'
import { printSize } from '../../lib/units.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Capabilities, DriverName, Pool, StorageDriver } from '../../storage/driver.ts'
import { driverNames, storageDriver } from '../../storage/index.ts'
import { OPTION_USERS, type PoolOptions, parsePoolOptions } from '../../storage/pool-options.ts'

export interface StorageWish extends PoolOptions {
  /** A name, several with commas between, or `best`. Absent: what the settings say. */
  readonly bdev?: string | undefined
  /** Absolute path of the root file system to be. */
  readonly dir?: string | undefined
}

/** What the settings say. */
export interface StorageDefaults {
  readonly bdev: string
  readonly pool: Pool
}

export interface PassedOver {
  readonly driver: string
  readonly reason: string
}

export interface StorageChoice {
  readonly driver: StorageDriver
  readonly pool: Pool
  readonly cow: boolean
  /** Owners have to be shifted on its disk. */
  readonly idmap?: false
  /** For people, where there was something to choose: `clones share what they have in common`. */
  readonly why?: string
  readonly passedOver: readonly PassedOver[]
}

type Usable = Extract<Capabilities, { usable: true }>

interface Candidate {
  readonly driver: DriverName
  /** Taken only when it is copy-on-write: something else comes after it. */
  readonly onlyCow: boolean
}

/** LXC's older names, and its name for a directory. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['none', 'dir'],
  ['overlayfs', 'overlay'],
])
const BEST: readonly DriverName[] = ['btrfs', 'zfs', 'lvm', 'overlay', 'dir']
/** LXC's, which we have not. */
const FOREIGN: readonly string[] = ['rbd', 'nbd']
const COW = 'clones and snapshots share what they have in common'

/**
 * Asks each candidate in turn; makes nothing.
 * @param limitBytes that it has to be able to enforce
 * @throws UsageError for what is none, and for options nobody has a use for; HostError with the reasons when none can
 */
export async function chooseStorage(
  paths: Paths,
  wish: StorageWish,
  defaults: StorageDefaults,
  limitBytes?: number,
): Promise<StorageChoice> {
  const pool = poolOf(wish, defaults, limitBytes)
  const candidates = candidatesOf(wish, defaults)
  const dir = nearestDir(wish.dir === undefined ? paths.lxcpath : dirname(wish.dir))
  const isChoice = candidates.length > 1
  const refused: Refusal[] = []
  for (const { driver: name, onlyCow } of candidates) {
    const driver = storageDriver(paths, name)
    const found = judge(await driver.probe({ dir, pool }), onlyCow, limitBytes)
    if (found.kind === 'refused') refused.push({ driver: name, reason: found.reason, hint: found.hint })
    else {
      const passedOver = refused.map(({ driver: other, reason }) => ({ driver: other, reason }))
      const { cow, idmap } = found
      return { driver, pool, cow, ...(idmap === false ? { idmap } : {}), passedOver, ...(isChoice ? { why: whyOf(cow, passedOver) } : {}) }
    }
  }
  throw noneCan(refused, limitBytes)
}

interface Refusal extends PassedOver {
  readonly hint: string
}

type Judgement =
  | ({ readonly kind: 'taken' } & Pick<Usable, 'cow' | 'idmap'>)
  | { readonly kind: 'refused'; readonly reason: string; readonly hint: string }

function judge(capabilities: Capabilities, onlyCow: boolean, limitBytes: number | undefined): Judgement {
  if (!capabilities.usable) return { kind: 'refused', reason: capabilities.reason, hint: capabilities.hint }
  const { cow, quota, idmap }: Usable = capabilities
  if (limitBytes !== undefined && quota !== true) {
    return { kind: 'refused', reason: `limits.disk can't be enforced: ${quota.reason}`, hint: quota.hint }
  }
  if (onlyCow && !cow) return { kind: 'refused', reason: 'it would copy every file', hint: 'pass -B TYPE' }
  return { kind: 'taken', cow, ...(idmap === false ? { idmap } : {}) }
}

function whyOf(cow: boolean, passedOver: readonly PassedOver[]): string {
  const others = passedOver.map(({ driver, reason }) => `${driver}: ${reason}`)
  return [cow ? COW : 'it needs nothing of the host', ...others].join('; ')
}

function noneCan(refused: readonly Refusal[], limitBytes: number | undefined): HostError {
  const [first] = refused
  if (first !== undefined && refused.length === 1) {
    return new HostError(`cannot use the backing storage '${first.driver}': ${first.reason}`, { hint: first.hint })
  }
  const reasons = refused.map(({ driver, reason }) => `${driver}: ${reason}`).join('; ')
  const wanted = limitBytes === undefined ? '' : ` with limits.disk ${printSize(limitBytes)}`
  return new HostError(`cannot find a backing storage${wanted}: ${reasons}`, { hint: first?.hint ?? 'pass -B dir' })
}

function candidatesOf(wish: StorageWish, defaults: StorageDefaults): readonly Candidate[] {
  const text = wish.bdev ?? defaults.bdev
  const named = text.split(',').flatMap((word) => candidatesNamed(word.trim()))
  const unique = named.filter((item, index) => named.findIndex(({ driver }) => driver === item.driver) === index)
  for (const [option, users] of Object.entries(OPTION_USERS)) {
    if (wish[option as keyof typeof OPTION_USERS] === undefined) continue
    const isUsed = unique.some(({ driver }) => (users as readonly DriverName[]).includes(driver))
    if (!isUsed) throw useless(option as keyof typeof OPTION_USERS, text, users)
  }
  // Only a directory can be put anywhere.
  return wish.dir === undefined ? unique : unique.filter(({ driver }) => (OPTION_USERS.dir as readonly DriverName[]).includes(driver))
}

function candidatesNamed(word: string): readonly Candidate[] {
  const name = ALIASES.get(word) ?? word
  const known = driverNames.find((driver) => driver === name)
  if (known !== undefined) return [{ driver: known, onlyCow: false }]
  if (name === 'best') {
    const there = BEST.filter((driver) => driverNames.includes(driver))
    return there.map((driver, index) => ({ driver, onlyCow: index < there.length - 1 }))
  }
  const reason = FOREIGN.includes(name) ? 'it is not supported' : `there is ${driverNames.join(', ')} and best`
  throw new UsageError(`cannot use the backing storage '${word}': ${reason}`, { hint: 'pass -B best' })
}

function useless(option: keyof typeof OPTION_USERS, storage: string, users: readonly string[]): UsageError {
  const instead = option === 'fssize' ? 'set limits.disk in a file for --config' : `leave --${option} out`
  return new UsageError(`cannot use --${option} with the backing storage '${storage}': it is for ${users.join(' and ')}`, {
    hint: `pass -B ${users[0]}, or ${instead}`,
  })
}

function poolOf(wish: StorageWish, defaults: StorageDefaults, limitBytes: number | undefined): Pool {
  const given = parsePoolOptions(wish)
  if (limitBytes !== undefined && given.sizeBytes !== undefined && given.sizeBytes !== limitBytes) {
    throw new UsageError(`cannot use --fssize '${wish.fssize}': limits.disk says ${printSize(limitBytes)}`, { hint: 'leave --fssize out' })
  }
  return { ...defaults.pool, ...given, ...(limitBytes === undefined ? {} : { sizeBytes: limitBytes }) }
}

function nearestDir(path: string): string {
  let at = path
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at)
  return at
}
