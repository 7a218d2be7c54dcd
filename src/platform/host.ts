/** The only place where facts about the host are asked. None of them may enter a spec. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { arch, release } from 'node:os'
import { HostError } from '../lib/errors.ts'
import { which } from './exec.ts'

export interface KernelVersion {
  readonly major: number
  readonly minor: number
  /** As uname -r has it. */
  readonly text: string
}

export function kernelVersion(): KernelVersion {
  const text = release()
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? []
  return { major: Number(major ?? 0), minor: Number(minor ?? 0), text }
}

export function kernelIsAtLeast(major: number, minor: number): boolean {
  const kernel = kernelVersion()
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor)
}

export const isRoot = (): boolean => process.geteuid?.() === 0

/** @throws HostError `permission` */
export function requireRoot(verb: string, object: string): void {
  if (!isRoot()) throw new HostError(`cannot ${verb} ${object}: only root may`, { code: 'permission', hint: 'run it with sudo' })
}

/** Whether new user namespaces can be made at all: built in, and not limited to none. user_namespaces(7) */
export function hasUserNamespaces(): boolean {
  const limit = readIfPresent('/proc/sys/user/max_user_namespaces')
  return existsSync('/proc/self/ns/user') && limit !== undefined && Number(limit) > 0
}

/** Mount trees by cgroup generation: `hybrid` has v1 controllers and a v2 tree for bookkeeping. cgroups(7) */
export function cgroupLayout(): 'v2' | 'hybrid' | 'v1' | 'none' {
  const mounts = (readIfPresent('/proc/self/mounts') ?? '').split('\n').map((line) => line.split(' ')[2])
  if (!mounts.includes('cgroup')) return mounts.includes('cgroup2') ? 'v2' : 'none'
  return mounts.includes('cgroup2') ? 'hybrid' : 'v1'
}

export interface Distribution {
  /** Lower case, e.g. `debian`; `linux` when unknown. os-release(5) */
  readonly id: string
  readonly idLike: readonly string[]
  readonly versionId?: string
  readonly codename?: string
}

export function distribution(): Distribution {
  const text = readIfPresent('/etc/os-release') ?? readIfPresent('/usr/lib/os-release') ?? ''
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line.trim()) ?? []
    if (key !== undefined && value !== undefined) fields.set(key, value.replace(/^(["'])(.*)\1$/, '$2'))
  }
  const versionId = fields.get('VERSION_ID')
  const codename = fields.get('VERSION_CODENAME')
  return {
    id: fields.get('ID') ?? 'linux',
    idLike: (fields.get('ID_LIKE') ?? '').split(' ').filter((id) => id !== ''),
    ...(versionId === undefined ? {} : { versionId }),
    ...(codename === undefined ? {} : { codename }),
  }
}

const DEBIAN_ARCH: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'armhf',
  ia32: 'i386',
  riscv64: 'riscv64',
  s390x: 's390x',
}
const LXC_ARCH: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  arm: 'armv7l',
  ia32: 'i686',
  riscv64: 'riscv64',
  s390x: 's390x',
}

/** `debian`: amd64, arm64 …; `lxc`: x86_64, aarch64 … as uname -m. */
export function architecture(): { readonly debian: string; readonly lxc: string } {
  return { debian: DEBIAN_ARCH[arch()] ?? arch(), lxc: LXC_ARCH[arch()] ?? arch() }
}

/** Package that holds a tool, where the names differ. Debian's names; others mostly agree. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  nft: 'nftables',
  ip: 'iproute2',
  dnsmasq: 'dnsmasq-base',
  newuidmap: 'uidmap',
  newgidmap: 'uidmap',
  busybox: 'busybox-static',
  'mkfs.ext4': 'e2fsprogs',
  btrfs: 'btrfs-progs',
  zfs: 'zfsutils-linux',
  lvs: 'lvm2',
}

/**
 * Absolute path of a tool that is needed for `purpose`, e.g. `create 'web'`.
 * @throws HostError whose hint installs it
 */
export function requireTool(tool: string, purpose: string): string {
  const path = which(tool)
  if (path !== undefined) return path
  throw new HostError(`cannot ${purpose}: '${tool}' is not installed`, { hint: installCommand(PACKAGE_OF[tool] ?? tool) })
}

/** What an administrator of this distribution types to install a package. */
export function installCommand(packageName: string): string {
  const { id, idLike } = distribution()
  const family = [id, ...idLike]
  if (family.includes('fedora') || family.includes('rhel')) return `dnf install ${packageName}`
  if (family.includes('suse') || id.startsWith('opensuse')) return `zypper install ${packageName}`
  if (family.includes('arch')) return `pacman -S ${packageName}`
  if (family.includes('alpine')) return `apk add ${packageName}`
  return `apt-get install ${packageName}`
}

export { which }

/** Lines `NAME:FIRST:COUNT` of /etc/subuid or /etc/subgid. subuid(5) */
export interface SubordinateRange {
  readonly owner: string
  readonly first: number
  readonly count: number
}

/** Ranges of both files in `etc`; absent files hold none. */
export function subordinateRanges(etc = '/etc'): { readonly uid: SubordinateRange[]; readonly gid: SubordinateRange[] } {
  return { uid: parseSubordinate(readIfPresent(`${etc}/subuid`)), gid: parseSubordinate(readIfPresent(`${etc}/subgid`)) }
}

function parseSubordinate(text: string | undefined): SubordinateRange[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const [, owner, first, count] = /^([^:#]+):(\d+):(\d+)$/.exec(line.trim()) ?? []
    return owner === undefined ? [] : [{ owner, first: Number(first), count: Number(count) }]
  })
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** The host's time zone: its name, e.g. `Europe/Berlin`, and its compiled file; undefined when none is set. localtime(5) */
export function hostTimeZone(): { readonly name: string; readonly content: Buffer } | undefined {
  try {
    const path = realpathSync('/etc/localtime')
    const name = /\/zoneinfo\/(?:posix\/|right\/)?(.+)$/.exec(path)?.[1] ?? readIfPresent('/etc/timezone')?.trim()
    return name === undefined || !/^[A-Za-z0-9_+/-]+$/.test(name) ? undefined : { name, content: readFileSync(path) }
  } catch {
    return undefined
  }
}

/** What new systems on this host speak: /etc/default/locale or /etc/locale.conf, else C.UTF-8. locale.conf(5) */
export function hostLocale(): string {
  const text = readIfPresent('/etc/default/locale') ?? readIfPresent('/etc/locale.conf') ?? ''
  const locale = /^LANG="?([A-Za-z0-9_.@-]+)"?$/m.exec(text)?.[1]
  return locale ?? 'C.UTF-8'
}
