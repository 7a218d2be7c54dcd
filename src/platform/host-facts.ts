/** More facts about the host, for `doctor` alone: nothing here decides how a container is made. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs'
import { cgroupLayout, kernelIsAtLeast } from './host.ts'

export interface CgroupMount {
  readonly dir: string
  /** v1: what is mounted there; v2: what cgroup.controllers lists. */
  readonly controllers: readonly string[]
  readonly version: 1 | 2
}

const V1_CONTROLLERS = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'hugetlb',
  'net_cls',
  'net_prio',
  'perf_event',
  'rdma',
  'misc',
]

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The value of a dotted name; undefined when this kernel has no such setting. sysctl(8) */
export const sysctl = (name: string): string | undefined => readText(`/proc/sys/${name.replaceAll('.', '/')}`)

/** Kinds of namespaces this kernel has, as /proc/self/ns names them. */
export const kernelNamespaces = (): string[] =>
  ['mnt', 'net', 'ipc', 'uts', 'pid', 'user', 'cgroup', 'time'].filter((kind) => existsSync(`/proc/self/ns/${kind}`))

export const hasSeccompFilter = (): boolean => sysctl('kernel.seccomp.actions_avail')?.split(' ').includes('errno') ?? false

/** Where the hierarchies are mounted. cgroups(7) */
export function cgroupMounts(): CgroupMount[] {
  const mounts = (readText('/proc/self/mounts') ?? '').split('\n')
  return mounts.flatMap((line): CgroupMount[] => {
    const [, dir = '', type, options = ''] = line.split(' ')
    if (type === 'cgroup2')
      return [{ dir, version: 2, controllers: (readText(`${dir}/cgroup.controllers`) ?? '').split(' ').filter((name) => name !== '') }]
    if (type !== 'cgroup') return []
    return [{ dir, version: 1, controllers: options.split(',').filter((option) => V1_CONTROLLERS.includes(option)) }]
  })
}

/** Controllers that limits can use, whichever generation has them. */
export const cgroupControllers = (): string[] => [...new Set(cgroupMounts().flatMap(({ controllers }) => controllers))]

/** Whether cgroups can be made: somebody mounted the hierarchies for us to write. */
export function cgroupsAreWritable(): boolean {
  const layout = cgroupLayout()
  const mounts = cgroupMounts().filter(({ version }) => (layout === 'v2') === (version === 2))
  return mounts.length > 0 && mounts.every(({ dir }) => isWritable(dir))
}

export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

export interface FreeSpace {
  readonly bytes: number
  readonly inodes: number
}

/** What an unprivileged writer has left; file systems without inode counts answer Infinity. */
export function freeSpace(path: string): FreeSpace | undefined {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(path)
    return { bytes: bavail * bsize, inodes: files === 0 ? Number.POSITIVE_INFINITY : ffree }
  } catch {
    return undefined
  }
}

/** Ports that something holds on all addresses of this network namespace. */
export function wildcardUdpPorts(): number[] {
  const lines = (readText('/proc/net/udp') ?? '').split('\n').slice(1)
  return lines.flatMap((line) => {
    const [, port] = /^\s*\d+: 00000000:([0-9A-F]{4}) /.exec(line) ?? []
    return port === undefined ? [] : [Number.parseInt(port, 16)]
  })
}

interface IdmapSupport {
  readonly name: string
  /** Kernel version from which it can be idmapped; absent: it can't. */
  readonly since?: readonly [major: number, minor: number]
}

// f_type of statfs(2) to what mount_setattr(2) says about idmapped mounts.
const FILE_SYSTEMS: ReadonlyMap<number, IdmapSupport> = new Map<number, IdmapSupport>([
  [0xef53, { name: 'ext4', since: [5, 12] }],
  [0x58465342, { name: 'xfs', since: [5, 12] }],
  [0x9123683e, { name: 'btrfs', since: [5, 15] }],
  [0xf2f52010, { name: 'f2fs', since: [5, 18] }],
  [0x01021994, { name: 'tmpfs', since: [6, 3] }],
  [0x794c7630, { name: 'overlay' }],
  [0x6969, { name: 'nfs' }],
  [0x65735546, { name: 'fuse' }],
  [0x01021997, { name: '9p' }],
])

/** Whether a file system can be idmapped; `unknown` for one that is not in the list. */
export function idmapSupport(path: string): { readonly name: string; readonly answer: 'yes' | 'no' | 'unknown' } {
  const type = statfsSync(path).type
  const known = FILE_SYSTEMS.get(type)
  if (known === undefined) return { name: `0x${type.toString(16)}`, answer: 'unknown' }
  return { name: known.name, answer: known.since !== undefined && kernelIsAtLeast(...known.since) ? 'yes' : 'no' }
}
