/** Keys that are not ours yet, and the nearest known one to what was typed. */
import { closest, distance } from 'fastest-levenshtein'
import { KEYS } from './describe.ts'

/** LXC's keys without effect here yet, and ours of the design. A key below one of them is meant too. */
const NOT_YET: readonly string[] = [
  'after',
  'apparmor',
  'bdev',
  'cgroup.dir.monitor.pivot',
  'cgroup.pattern',
  'cgroup.relative',
  'cgroup.use',
  'devices',
  'execute',
  'limits.cpu_weight',
  'limits.io',
  'limits.swap',
  'log.syslog',
  'monitor',
  'namespace',
  'net.N.ipvlan',
  'net.N.l2proxy',
  'net.N.macvlan',
  'net.N.vlan',
  'net.N.veth.ipv4',
  'net.N.veth.ipv6',
  'net.N.veth.n_rxqueues',
  'net.N.veth.n_txqueues',
  'net.N.veth.vlan',
  'proc',
  'publish',
  'ready',
  'restart',
  'sched',
  'seccomp.allow_nesting',
  'seccomp.notify',
  'selinux',
  'sysctl',
  'time',
]

/** `net.0.link`, or `net.link` of a lone map, is `net.N.link`. */
const generic = (key: string): string => key.replace(/^net(\.\d+)?(?=\.|$)/, 'net.N')

/** Whether a key, or keys below it, can be written. */
export function isKnownKey(key: string): boolean {
  const name = generic(key)
  const free = /^(cgroup2?|prlimit)\.[a-z]/.test(name)
  return free || KEYS.some((known) => known.key === name || known.key.startsWith(`${name}.`))
}

/** What to say about a key that the schema does not know. */
export function judgeUnknownKey(
  key: string,
  candidates: readonly string[] = KEYS.map((known) => known.key),
): { reason: string; hint?: string } {
  const name = generic(key)
  if (NOT_YET.some((known) => name === known || name.startsWith(`${known}.`))) return { reason: `'${key}' is not supported yet` }
  if (name === 'privileged') return { reason: `unknown key '${key}'`, hint: 'a container without idmap is privileged' }
  const bare = name.replace(/^lxc\./, '')
  const found = nearestKey(
    bare,
    candidates.filter((known) => !known.endsWith('.NAME')),
  )
  const index = /^(?:lxc\.)?net\.(\d+)/.exec(key)?.[1] ?? '0'
  const nearest = found?.replace(/^net\.N\b/, `net.${index}`)
  return { reason: `unknown key '${key}'`, ...(nearest === undefined ? {} : { hint: `did you mean '${nearest}'?` }) }
}

function nearestKey(name: string, candidates: readonly string[]): string | undefined {
  const all = withParents(candidates)
  if (all.has(name)) return name
  const last = name.split('.').at(-1) ?? name
  const sameEnd = candidates.filter((known) => known.split('.').at(-1) === last)
  if (sameEnd.length === 1) return sameEnd[0]
  const found = closest(name, [...all])
  const allowed = name.length < 5 ? 1 : Math.max(2, Math.floor(name.length / 3))
  return distance(name, found) <= allowed ? found : undefined
}

function withParents(keys: readonly string[]): ReadonlySet<string> {
  const all = new Set<string>()
  for (const key of keys) {
    const parts = key.split('.')
    for (let length = 1; length <= parts.length; length++) all.add(parts.slice(0, length).join('.'))
  }
  all.delete('net.N')
  return all
}
