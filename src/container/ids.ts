/** Ranges of ids for unprivileged containers, host-wide, in <allocDir>/ids.json under a lock. No two containers share one. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { IdmapEntry } from '../config/scalars.ts'
import { HostError } from '../lib/errors.ts'
import { isOwnedBy, isOwnedByAny, type Owner } from '../lib/owner.ts'
import { ensureDir, readJson, writeJson } from '../platform/files.ts'
import { type SubordinateRange, subordinateRanges } from '../platform/host.ts'
import { withLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import type { StoreContext } from './store.ts'

export const ID_RANGE_COUNT = 65_536
const FIRST_ID = 1_000_000
/** The last id is -1, "no id". */
const END_OF_IDS = 2 ** 32 - 1
const RECORD_VERSION = 1

export interface IdAllocation extends Owner {
  /** First id on the host; ID_RANGE_COUNT of them. Uids and gids alike. */
  readonly first: number
}

interface IdFile {
  readonly version: typeof RECORD_VERSION
  readonly ranges: readonly IdAllocation[]
}

const idFile = (paths: Paths): string => join(paths.allocDir, 'ids.json')

export const readIds = async (paths: Paths): Promise<readonly IdAllocation[]> =>
  (await readJson<IdFile>(idFile(paths), RECORD_VERSION))?.ranges ?? []

/** `idmap` of a config for an allocation. */
export const idmapLine = ({ first }: IdAllocation): string => `b 0 ${first} ${ID_RANGE_COUNT}`

/** What is added to the guest's ids on the disk of a store, 0: nothing, since mounts of it translate them. */
export function shiftOf(store: { readonly idmap?: false }, idmap: readonly IdmapEntry[] = []): number {
  const [first] = idmap
  return store.idmap !== false || first === undefined ? 0 : first.outside - first.inside
}

/**
 * The range of a container: the one it has, or the lowest free one. Ranges that /etc/subuid and /etc/subgid give to
 * others are left out.
 * @throws HostError when there is none
 */
export async function allocateIds(context: StoreContext, owner: Owner, etc = '/etc'): Promise<IdAllocation> {
  const [allocation] = await allocateManyIds(context, [owner], etc)
  return allocation as IdAllocation
}

/** The same for many at once, in their order. */
export async function allocateManyIds(context: StoreContext, owners: readonly Owner[], etc = '/etc'): Promise<IdAllocation[]> {
  return await locked(context, async () => {
    const before = await readIds(context.paths)
    const foreign = foreignRanges(etc)
    const ranges = [...before]
    let from = FIRST_ID
    const allocated = owners.map((owner) => {
      const present = ranges.find((range) => isOwnedBy(range, owner))
      if (present !== undefined) return present
      from = lowestFree(ranges, foreign, from)
      const allocation: IdAllocation = { first: from, lxcpath: owner.lxcpath, name: owner.name }
      ranges.push(allocation)
      return allocation
    })
    if (ranges.length > before.length) await write(context.paths, ranges)
    return allocated
  })
}

/** A container's range goes over to another name of it. */
export async function moveIds(context: StoreContext, from: Owner, to: Owner): Promise<void> {
  if (!existsSync(idFile(context.paths))) return
  await locked(context, async () => {
    const ranges = await readIds(context.paths)
    if (!ranges.some((range) => isOwnedBy(range, from))) return
    const { lxcpath, name } = to
    await write(
      context.paths,
      ranges.map((range) => (isOwnedBy(range, from) ? { ...range, lxcpath, name } : range)),
    )
  })
}

/** Gives a container's range back; none is success. */
export const releaseIds = (context: StoreContext, owner: Owner): Promise<void> => releaseManyIds(context, [owner])

/** The same for many at once. */
export async function releaseManyIds(context: StoreContext, owners: readonly Owner[]): Promise<void> {
  if (!existsSync(idFile(context.paths))) return
  const isReleased = isOwnedByAny(owners)
  await locked(context, async () => {
    const ranges = await readIds(context.paths)
    const kept = ranges.filter((range) => !isReleased(range))
    if (kept.length < ranges.length) await write(context.paths, kept)
  })
}

const write = (paths: Paths, ranges: readonly IdAllocation[]): Promise<void> =>
  writeJson(idFile(paths), { version: RECORD_VERSION, ranges: [...ranges].sort((a, b) => a.first - b.first) } satisfies IdFile)

interface Taken {
  readonly first: number
  readonly count: number
}

function lowestFree(ranges: readonly IdAllocation[], foreign: readonly Taken[], from: number): number {
  const taken = [...ranges.map(({ first }) => ({ first, count: ID_RANGE_COUNT })), ...foreign]
  for (let first = from; first + ID_RANGE_COUNT <= END_OF_IDS; ) {
    const clash = taken.find((range) => first < range.first + range.count && range.first < first + ID_RANGE_COUNT)
    if (clash === undefined) return first
    // The next multiple of a range's size behind it, counted from the first id, so that ranges stay aligned.
    first = FIRST_ID + Math.ceil((clash.first + clash.count - FIRST_ID) / ID_RANGE_COUNT) * ID_RANGE_COUNT
  }
  throw new HostError('cannot allocate ids: every range is taken', { hint: "look at /etc/subuid, /etc/subgid and 'tslxc ls'" })
}

// Root's own lines are for tools that map ids on root's behalf: we are such a tool.
function foreignRanges(etc: string): SubordinateRange[] {
  const { uid, gid } = subordinateRanges(etc)
  return [...uid, ...gid].filter(({ owner }) => owner !== 'root' && owner !== '0')
}

async function locked<T>(context: StoreContext, action: () => Promise<T>): Promise<T> {
  const { paths, command } = context
  await ensureDir(paths.allocDir)
  // No abort signal: it is short, and undoing after an abort comes through here.
  return await withLock(paths, { path: `${idFile(paths)}.lock`, object: 'the list of id ranges', command }, action)
}
