/** Is there a thin pool, and is there room. A pool that runs full takes all its volumes along, so it is looked at before. */
import { HostError } from '../lib/errors.ts'
import { findVolume, type LogicalVolume, readGroup, type VolumeGroup } from './lvm-report.ts'

const DEFAULT_POOL = 'lxc'
/** lvmthin(7): at 100 % of the data writes fail after a minute; full metadata can need a repair. */
const MAX_DATA_PERCENT = 95
const MAX_METADATA_PERCENT = 90
const FULL_PERCENT = 99.9
/** Of an unhealthy pool, lvs(8), lv_health_status. */
const HEALTH: Readonly<Record<string, string>> = {
  out_of_data: 'has no room left for data',
  metadata_read_only: 'has no room left for metadata, or needs a check',
  failed: 'has failed',
}

/**
 * The wanted one, which has to be there; without a wish the default, when it is there.
 * @throws HostError
 */
export function poolOf(group: VolumeGroup, wanted: string | undefined): LogicalVolume | undefined {
  const found = findVolume(group, wanted ?? DEFAULT_POOL)
  if (found?.isThinPool) return found
  if (wanted === undefined) return undefined
  const reason =
    found === undefined ? `there is no thin pool '${wanted}' in '${group.name}'` : `'${group.name}/${wanted}' is not a thin pool`
  throw new HostError(`cannot use LVM: ${reason}`, { hint: `lvcreate --type thin-pool -l 90%FREE -n ${wanted} ${group.name}` })
}

/**
 * Before something is made.
 * @throws HostError with the numbers, when the group or the pool can't take it
 */
export function requireRoom(group: VolumeGroup, pool: LogicalVolume | undefined, sizeBytes: number): void {
  if (group.trouble !== undefined) throw new HostError(`cannot use LVM: ${group.trouble.reason}`, { hint: group.trouble.hint })
  if (pool !== undefined) requirePoolRoom(group.name, pool)
  if (pool !== undefined || sizeBytes <= group.freeBytes) return
  const reason = `'${group.name}' has ${mebibytes(group.freeBytes)} free, ${mebibytes(sizeBytes)} are needed`
  throw new HostError(`cannot use LVM: ${reason}`, { code: 'no-space', hint: `vgextend ${group.name} /dev/DISK` })
}

function requirePoolRoom(vg: string, pool: LogicalVolume): void {
  const { dataPercent = 0, metadataPercent = 0 } = pool
  const fills = `${dataPercent} % of its data and ${metadataPercent} % of its metadata are used`
  const fail = (reason: string, hint: string): never => {
    throw new HostError(`cannot use LVM: the thin pool '${vg}/${pool.name}' ${reason}`, { code: 'no-space', hint })
  }
  if (metadataPercent >= MAX_METADATA_PERCENT) {
    fail(`is too full: ${fills}, ${MAX_METADATA_PERCENT} % of metadata is the most`, `lvextend --poolmetadatasize +64M ${vg}/${pool.name}`)
  }
  if (dataPercent >= MAX_DATA_PERCENT) {
    fail(`is too full: ${fills}, ${MAX_DATA_PERCENT} % of data is the most`, `lvextend -L +10G ${vg}/${pool.name}`)
  }
  if (pool.health !== '') fail(HEALTH[pool.health] ?? `is not well: ${pool.health}`, `lvconvert --repair ${vg}/${pool.name}`)
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`

/**
 * Runs something that writes into a volume. When it fails because the pool ran full meanwhile, the error says so.
 * @throws HostError `no-space`, else what `write` throws
 */
export async function explainingFullPool<T>(at: { readonly vg: string; readonly thinPool?: string }, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (at.thinPool !== undefined) await throwIfFull(at.vg, at.thinPool, error)
    throw error
  }
}

async function throwIfFull(vg: string, name: string, cause: unknown): Promise<void> {
  const pool = await readGroup(vg).then(
    (group) => findVolume(group, name),
    () => undefined,
  )
  if (pool === undefined) return
  const isMetadata = (pool.metadataPercent ?? 0) >= FULL_PERCENT || pool.health === 'metadata_read_only'
  if (!isMetadata && (pool.dataPercent ?? 0) < FULL_PERCENT && pool.health === '') return
  const hint = isMetadata ? `lvextend --poolmetadatasize +64M ${vg}/${name}` : `lvextend -L +10G ${vg}/${name}`
  const what = isMetadata ? 'metadata' : 'data'
  throw new HostError(`cannot write to the thin pool '${vg}/${name}': it is full, of its ${what}`, { code: 'no-space', hint, cause })
}
