/** What LVM says is there: `lvs` and `vgs` in JSON. */
import { HostError } from '../lib/errors.ts'
import { lvm, noVolumeGroup } from './lvm-tools.ts'

export interface LogicalVolume {
  readonly name: string
  readonly sizeBytes: number
  /** The thin pool it is in; absent: it is a thick one, or a pool. */
  readonly pool?: string
  /** Of a snapshot. */
  readonly origin?: string
  readonly isThinPool: boolean
  readonly tags: readonly string[]
  readonly readOnly: boolean
  /** Its device node is there. */
  readonly active: boolean
  /** Full to this share of 100. Of a thin volume: of its size; of a pool: of its data and its metadata. */
  readonly dataPercent?: number
  readonly metadataPercent?: number
  /** lv_health_status(7): empty is well; `out_of_data`, `metadata_read_only`, `failed`. */
  readonly health: string
}

export interface VolumeGroup {
  readonly name: string
  readonly extentBytes: number
  readonly freeBytes: number
  /** Why nothing can be made in it, with what helps. */
  readonly trouble?: { readonly reason: string; readonly hint: string }
  readonly volumes: readonly LogicalVolume[]
}

const GROUP_FIELDS = ['vg_extent_size', 'vg_free', 'vg_permissions', 'vg_partial', 'vg_exported']
const VOLUME_FIELDS = [
  'lv_name',
  'lv_size',
  'lv_layout',
  'lv_permissions',
  'lv_active',
  'lv_health_status',
  'lv_tags',
  'pool_lv',
  'origin',
  'data_percent',
  'metadata_percent',
]

/**
 * One `lvs`; a `vgs` more where the group is empty, because `lvs` then says nothing of it.
 * @throws HostError without such a volume group, or without LVM
 */
export async function readGroup(vg: string): Promise<VolumeGroup> {
  const rows = await report('lvs', [...GROUP_FIELDS, ...VOLUME_FIELDS], vg)
  const [head] = rows.length > 0 ? rows : await report('vgs', GROUP_FIELDS, vg)
  if (head === undefined) throw noVolumeGroup(vg)
  const trouble = groupTrouble(vg, head)
  return {
    name: vg,
    extentBytes: Number(head.vg_extent_size),
    freeBytes: Number(head.vg_free),
    ...(trouble === undefined ? {} : { trouble }),
    volumes: rows.map(readVolume),
  }
}

export const findVolume = (group: VolumeGroup, lv: string): LogicalVolume | undefined => group.volumes.find(({ name }) => name === lv)

type Row = Readonly<Record<string, string>>

async function report(tool: 'lvs' | 'vgs', fields: readonly string[], vg: string): Promise<readonly Row[]> {
  const { stdout } = await lvm([tool, '--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', fields.join(','), vg])
  return parseReport(stdout, tool === 'lvs' ? 'lv' : 'vg')
}

/** Of `--reportformat json`: one object with a list of reports, each with the rows of one kind. @throws HostError */
export function parseReport(text: string, kind: 'lv' | 'vg'): readonly Row[] {
  try {
    const { report: reports } = JSON.parse(text) as { report: readonly Readonly<Record<string, readonly Row[] | undefined>>[] }
    return reports.flatMap((one) => one[kind] ?? [])
  } catch (error) {
    throw new HostError('cannot read what LVM reports: it is not JSON', { hint: 'lvs --version', cause: error })
  }
}

function groupTrouble(vg: string, row: Row): VolumeGroup['trouble'] {
  if (row.vg_exported === 'exported') return { reason: `the volume group '${vg}' is exported`, hint: `vgimport ${vg}` }
  if (row.vg_partial === 'partial')
    return { reason: `physical volumes of '${vg}' are missing`, hint: `pvs -o +vg_missing_pv_count,devices` }
  if (row.vg_permissions === 'read-only') {
    return { reason: `the volume group '${vg}' is read-only`, hint: 'lvmconfig global/metadata_read_only activation/read_only_volume_list' }
  }
  return undefined
}

function readVolume(row: Row): LogicalVolume {
  const optional = (name: 'pool' | 'origin', value: string | undefined) => (value ? { [name]: value } : {})
  const percent = (name: 'dataPercent' | 'metadataPercent', value: string | undefined) => (value ? { [name]: Number(value) } : {})
  return {
    name: row.lv_name ?? '',
    sizeBytes: Number(row.lv_size),
    ...optional('pool', row.pool_lv),
    ...optional('origin', row.origin),
    isThinPool: (row.lv_layout ?? '').split(',').join() === 'thin,pool',
    tags: (row.lv_tags ?? '').split(',').filter((tag) => tag !== ''),
    readOnly: (row.lv_permissions ?? '').startsWith('read-only'),
    active: row.lv_active === 'active',
    ...percent('dataPercent', row.data_percent),
    ...percent('metadataPercent', row.metadata_percent),
    health: row.lv_health_status ?? '',
  }
}
