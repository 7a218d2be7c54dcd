/** Limits as files of cgroup v2 and of v1: the host decides at start which of both it has. */
import type { Config } from '../config/schema.ts'
import type { CgroupPlan, DeviceRule } from '../runtime/spec.ts'

type Entries = readonly (readonly [file: string, value: string])[]

/** kernel: the default period of the CPU controller, 100 ms. */
const CPU_PERIOD_US = 100_000

export function cgroupPlan(config: Config, name: string): CgroupPlan {
  const raw2 = rawEntries(config.cgroup2)
  const raw1 = rawEntries(config.cgroup)
  const said2 = [...limitEntries(config, V2), ...raw2]
  const said1 = [...limitEntries(config, V1), ...raw1]
  return {
    ...paths(config, name),
    limits: [...said2, ...missing(raw1.flatMap(toV2), said2)],
    legacyLimits: [...said1, ...missing(raw2.flatMap(toV1), said1)],
  }
}

function paths({ cgroup }: Config, name: string): Partial<CgroupPlan> {
  const dir = cgroup?.dir
  if (dir === undefined) return {}
  const inner = dir.container?.inner
  const payload = dir.container?.value ?? (dir.value === undefined ? undefined : `${dir.value}/tslxc.payload.${name}`)
  const monitor = dir.monitor ?? (dir.value === undefined ? undefined : `${dir.value}/tslxc.monitor.${name}`)
  return {
    ...(payload === undefined ? {} : { path: payload }),
    ...(monitor === undefined ? {} : { monitorPath: monitor }),
    ...(inner === undefined ? {} : { innerPath: inner }),
  }
}

interface Names {
  memory(bytes: number): Entries
  cpus(quotaUs: number): Entries
  pids(count: number): Entries
}

const V2: Names = {
  memory: (bytes) => [['memory.max', String(bytes)]],
  cpus: (quotaUs) => [['cpu.max', `${quotaUs} ${CPU_PERIOD_US}`]],
  pids: (count) => [['pids.max', String(count)]],
}

const V1: Names = {
  memory: (bytes) => [['memory.limit_in_bytes', String(bytes)]],
  cpus: (quotaUs) => [
    ['cpu.cfs_period_us', String(CPU_PERIOD_US)],
    ['cpu.cfs_quota_us', String(quotaUs)],
  ],
  pids: (count) => [['pids.max', String(count)]],
}

function limitEntries({ limits }: Config, names: Names): Entries {
  return [
    ...(limits?.memory === undefined ? [] : names.memory(limits.memory)),
    ...(limits?.cpus === undefined ? [] : names.cpus(Math.round(limits.cpus * CPU_PERIOD_US))),
    ...(limits?.pids === undefined ? [] : names.pids(limits.pids)),
  ]
}

const OTHERS: readonly string[] = ['devices.allow', 'devices.deny', 'dir']

function rawEntries(group: Config['cgroup'] | Config['cgroup2']): Entries {
  return Object.entries(group ?? {}).flatMap(([file, values]) =>
    OTHERS.includes(file) ? [] : (values as readonly string[]).map((value) => [file, value] as const),
  )
}

/** What the other generation was not told in its own words. */
function missing(translated: Entries, said: Entries): Entries {
  const files = new Set(said.map(([file]) => file))
  return translated.filter(([file]) => !files.has(file))
}

const SAME: readonly string[] = ['pids.max', 'cpuset.cpus', 'cpuset.mems']

function toV1([file, value]: readonly [string, string]): Entries {
  if (SAME.includes(file)) return [[file, value]]
  if (file === 'memory.max') return [['memory.limit_in_bytes', value === 'max' ? '-1' : value]]
  if (file === 'cpu.weight') return [['cpu.shares', String(sharesOf(Number(value)))]]
  if (file !== 'cpu.max') return []
  const [quota = 'max', period = String(CPU_PERIOD_US)] = value.trim().split(/\s+/)
  return [
    ['cpu.cfs_period_us', period],
    ['cpu.cfs_quota_us', quota === 'max' ? '-1' : quota],
  ]
}

function toV2([file, value]: readonly [string, string]): Entries {
  if (SAME.includes(file)) return [[file, value]]
  if (file === 'memory.limit_in_bytes') return [['memory.max', value === '-1' ? 'max' : value]]
  if (file === 'cpu.shares') return [['cpu.weight', String(weightOf(Number(value)))]]
  // The quota alone: v2 keeps the period that is there.
  if (file === 'cpu.cfs_quota_us') return [['cpu.max', value === '-1' ? 'max' : value]]
  return []
}

// Shares run from 2 to 262144, weights from 1 to 10000: cgroup-v2.rst and the conversion that OCI runtimes agree on.
const sharesOf = (weight: number): number => 2 + Math.floor(((weight - 1) * 262_142) / 9_999)
const weightOf = (shares: number): number => 1 + Math.floor(((shares - 2) * 9_999) / 262_142)

/** Resets first, then what is allowed, then what is denied: a map of two lists has no other order. */
export function deviceRules({ cgroup, cgroup2 }: Config): readonly DeviceRule[] {
  const collect = (allow: boolean): DeviceRule[] => {
    const key = allow ? 'devices.allow' : 'devices.deny'
    return [...(cgroup2?.[key] ?? []), ...(cgroup?.[key] ?? [])].map((rule) => ({ allow, ...rule }))
  }
  const rules = [...collect(true), ...collect(false)]
  return [...rules.filter((rule) => rule.type === 'a'), ...rules.filter((rule) => rule.type !== 'a')]
}
