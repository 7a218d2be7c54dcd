/** What the container's processes may not do or see. */
import type { Config } from '../config/schema.ts'
import type { SecurityPlan } from '../runtime/spec.ts'
import { autoWords, usesHostNetwork } from './mounts.ts'

/** The name of the compiled filter beside spec.json. */
export const SECCOMP_FILE = 'seccomp.bpf'

/** They show, or change, what is the host's and not the container's. */
const MASKED_PROC: readonly string[] = [
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
]
const MASKED_SYS: readonly string[] = ['/sys/firmware', '/sys/devices/virtual/powercap']
const READONLY_PROC: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

export function securityPlan(config: Config, hasSeccompFilter: boolean): SecurityPlan {
  return {
    capabilities: capabilities(config),
    ...(hasSeccompFilter ? { seccompFilter: SECCOMP_FILE } : {}),
    noNewPrivileges: config.no_new_privs ?? false,
    keyring: config.keyring?.session ?? true,
    ...paths(config),
  }
}

function capabilities({ cap }: Config): SecurityPlan['capabilities'] {
  const keep = cap?.keep ?? []
  if (keep.length > 0) return { mode: 'keep', names: keep.filter((name) => name !== 'none') }
  return { mode: 'drop', names: [...new Set(cap?.drop ?? [])] }
}

/** `rw` asks for all of a tree, and gets it. */
function paths(config: Config): Pick<SecurityPlan, 'maskedPaths' | 'readonlyPaths'> {
  const words = autoWords(config)
  const proc = words.includes('proc:mixed')
  const sys = words.includes('sys:mixed') || words.includes('sys:ro')
  const ownSys = words.includes('sys:mixed') && !(usesHostNetwork(config) && (config.idmap?.length ?? 0) > 0)
  return {
    maskedPaths: [...(proc ? MASKED_PROC : []), ...(sys ? MASKED_SYS : [])],
    readonlyPaths: [...(proc ? READONLY_PROC : []), ...(ownSys ? ['/sys'] : [])],
  }
}
