/** Parsers of the values that only a container's configuration has. Each throws BadValue with the reason. */
import { constants } from 'node:os'
import { BadValue, type Scalar } from '../lib/fields.ts'
import { parseSize } from '../lib/units.ts'
import { text } from '../lib/values.ts'

/** glibc keeps the first two real-time signals to itself, as LXC counts them: signal(7). */
const SIGRTMIN = 34
const SIGRTMAX = 64

/** A name with or without SIG, a number, SIGRTMIN+N or SIGRTMAX-N. */
export function signal(value: Scalar): number {
  const name = String(value).toUpperCase()
  if (/^\d+$/.test(name)) {
    if (Number(name) >= 1 && Number(name) <= SIGRTMAX) return Number(name)
    throw new BadValue(`there is no signal ${name}: 1 to ${SIGRTMAX} are there`)
  }
  const full = name.startsWith('SIG') ? name : `SIG${name}`
  const [, base, offset] = /^SIGRT(MIN|MAX)(?:[+-](\d+))?$/.exec(full) ?? []
  if (base !== undefined) {
    const number = base === 'MIN' ? SIGRTMIN + Number(offset ?? 0) : SIGRTMAX - Number(offset ?? 0)
    const signFits = offset === undefined || full.includes(base === 'MIN' ? '+' : '-')
    if (signFits && number >= SIGRTMIN && number <= SIGRTMAX) return number
  }
  const known = constants.signals[full as keyof typeof constants.signals]
  if (known === undefined) throw new BadValue(`'${value}' is no signal`, 'for example SIGPWR, SIGRTMIN+3 or 9')
  return known
}

/** 500000, 64k, 2G: suffixes are powers of 1024. */
export function size(value: Scalar): number {
  const bytes = typeof value === 'boolean' ? undefined : parseSize(String(value))
  if (bytes === undefined) throw new BadValue(`'${value}' is no size`, 'for example 512M or 2G')
  return bytes
}

/** A size of at least a page, below which the kernel kills the container at once. */
export function memoryLimit(value: Scalar): number {
  if (typeof value === 'string' && value.endsWith('%'))
    throw new BadValue('a share of the memory is not supported yet', 'write a size such as 512M')
  const bytes = size(value)
  if (bytes < 1_048_576) throw new BadValue(`${bytes} bytes are too little for a container`, 'for example 512M or 2G')
  return bytes
}

/** A size that holds a file system. */
export function diskLimit(value: Scalar): number {
  if (typeof value === 'string' && value.endsWith('%')) throw new BadValue('a share of the disk is no limit', 'write a size such as 20G')
  const bytes = size(value)
  if (bytes < 1_048_576) throw new BadValue(`${bytes} bytes are too little for a root file system`, 'for example 20G')
  return bytes
}

/** Processors, in fractions too: 1.5. */
export function cpuLimit(value: Scalar): number {
  const cpus = typeof value === 'number' ? value : Number(/^\d+(\.\d+)?$/.exec(String(value))?.[0])
  // cpu.max takes a quota of no less than 1 ms in the period of 100 ms: sched/core.c min_cfs_quota_period.
  if (!Number.isFinite(cpus) || cpus < 0.01) throw new BadValue(`'${value}' is no number of processors`, 'for example 2 or 1.5')
  return cpus
}

const WIDTH_32: readonly string[] = [
  'x86',
  'i386',
  'i486',
  'i586',
  'i686',
  'athlon',
  'linux32',
  'arm',
  'armel',
  'armhf',
  'armv7l',
  'ppc',
  'powerpc',
  'mips',
  'mipsel',
]
const WIDTH_64: readonly string[] = [
  'x86_64',
  'amd64',
  'linux64',
  'aarch64',
  'arm64',
  'ppc64',
  'ppc64le',
  'ppc64el',
  'powerpc64',
  'riscv64',
  's390x',
  'loong64',
  'loongarch64',
  'mips64',
  'mips64el',
]

/** Its width is what personality(2) knows. */
export function architecture(value: Scalar): { readonly name: string; readonly bits: 32 | 64 } {
  const name = text(value)
  if (WIDTH_32.includes(name)) return { name, bits: 32 }
  if (WIDTH_64.includes(name)) return { name, bits: 64 }
  throw new BadValue(`'${name}' is no architecture`, 'for example x86_64, aarch64 or i686')
}

/** RFC 1123, and 64 bytes of utsname. */
export function hostName(value: Scalar): string {
  const name = text(value)
  if (name.length > 64 || !/^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i.test(name))
    throw new BadValue(`'${name}' can not be a host's name: letters, digits, '-' and '.', 64 at most`)
  return name
}

/** `KEY=VALUE`, or `KEY` alone: taken from the environment of the starting command. */
export function environmentEntry(value: Scalar): string {
  const entry = text(value)
  if (!/^[A-Za-z_][A-Za-z0-9_]*(=.*)?$/.test(entry))
    throw new BadValue(`'${entry}' is no variable`, 'write KEY=VALUE, or KEY to hand it on')
  return entry
}

export interface IdmapEntry {
  readonly types: readonly ('u' | 'g')[]
  readonly inside: number
  readonly outside: number
  readonly count: number
}

const MAX_ID = 4_294_967_294

/** `u|g|b INSIDE OUTSIDE COUNT` */
export function idmapEntry(value: Scalar): IdmapEntry {
  const match = /^([ugb])\s+(\d+)\s+(\d+)\s+(\d+)$/.exec(text(value).trim())
  if (match === null) throw new BadValue(`'${value}' is no id map`, 'for example "b 0 1000000 65536"')
  const [inside = 0, outside = 0, count = 0] = match.slice(2).map(Number)
  if (count === 0) throw new BadValue('an id map of no ids has no meaning')
  if (inside + count - 1 > MAX_ID || outside + count - 1 > MAX_ID) throw new BadValue('the id map goes beyond the last id, 4294967294')
  return { types: match[1] === 'b' ? ['u', 'g'] : [match[1] as 'u' | 'g'], inside, outside, count }
}

const CAPABILITIES: readonly string[] =
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'.split(
    ' ',
  )

/** With or without cap_, in any case; capabilities(7). */
export function capability(value: Scalar): string {
  const name = text(value).toLowerCase().replace(/^cap_/, '')
  if (!CAPABILITIES.includes(name)) throw new BadValue(`'${value}' is no capability`, 'for example sys_time or mknod')
  return name
}

export const keptCapability = (value: Scalar): string => (value === 'none' ? 'none' : capability(value))

export const LOG_LEVELS = ['TRACE', 'DEBUG', 'INFO', 'NOTICE', 'WARN', 'ERROR', 'CRIT', 'ALERT', 'FATAL'] as const

/** A name, or LXC's number of it. */
export function logLevel(value: Scalar): string {
  const name = String(value).toUpperCase()
  const level = LOG_LEVELS.find((known, number) => name === known || name === String(number))
  if (level === undefined) throw new BadValue(`'${value}' is no log level`, `one of ${LOG_LEVELS.join(', ')}`)
  return level
}

export const RLIMITS: readonly string[] =
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' ')

export interface RlimitValue {
  readonly soft?: number
  readonly hard?: number
}

/** `SOFT:HARD`, one number for both, or unlimited. */
export function rlimitValue(value: Scalar): RlimitValue {
  const parts = String(value).split(':')
  if (parts.length > 2) throw new BadValue(`'${value}' is no limit`, 'for example 1024:2048 or unlimited')
  const [soft, hard = soft] = parts.map(rlimitNumber)
  if (hard !== undefined && (soft === undefined || soft > hard)) throw new BadValue(`'${value}': the soft limit is above the hard one`)
  return { ...(soft === undefined ? {} : { soft }), ...(hard === undefined ? {} : { hard }) }
}

function rlimitNumber(part: string): number | undefined {
  if (part === 'unlimited') return undefined
  if (!/^\d+$/.test(part) || !Number.isSafeInteger(Number(part)))
    throw new BadValue(`'${part}' is no limit`, 'for example 1024:2048 or unlimited')
  return Number(part)
}
