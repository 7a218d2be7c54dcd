/** The host without its network: program, kernel, cgroups, ids, storage, limits. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  cgroupLayout,
  hasUserNamespaces,
  installCommand,
  isRoot,
  kernelIsAtLeast,
  kernelVersion,
  subordinateRanges,
  which,
} from '../../platform/host.ts'
import {
  cgroupControllers,
  cgroupsAreWritable,
  freeSpace,
  hasSeccompFilter,
  idmapSupport,
  kernelNamespaces,
  readText,
  sysctl,
} from '../../platform/host-facts.ts'
import type { Paths } from '../../platform/paths.ts'
import { type Finding, Findings } from './doctor-report.ts'

const OLDEST_NODE = [20, 11] as const
const LOW_SPACE_BYTES = 1024 ** 3
const LOW_INODES = 50_000

export function checkProgram(paths: Paths): Finding[] {
  const found = new Findings('program')
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    found.block(`Node ${process.versions.node} is older than ${OLDEST_NODE.join('.')}`, 'install a newer Node and set TSLXC_NODE to it')
  else found.ok(`Node ${process.versions.node}`)
  const recorded = readText(join(paths.installRoot, 'dist/node-path'))
  if (recorded !== undefined && !existsSync(recorded))
    found.block(`the Node this was built with is gone: ${recorded}`, `npm run build, or set TSLXC_NODE=${process.execPath}`)
  const built = ['tslxc', 'addon.node', 'build-id'].filter((name) => !existsSync(join(paths.installRoot, 'dist', name)))
  if (built.length > 0) found.block(`not built: dist lacks ${built.join(', ')}`, 'npm ci && npm run build')
  if (!isRoot()) found.block('not root: only root can make and run containers', 'run it with sudo')
  return found.list
}

export function checkKernel(): Finding[] {
  const found = new Findings('kernel')
  const { text } = kernelVersion()
  if (!kernelIsAtLeast(5, 6)) found.block(`Linux ${text} is too old: openat2 and pidfds need 5.6`, 'boot a newer kernel')
  else if (!kernelIsAtLeast(5, 12))
    found.warn(
      `Linux ${text} has no idmapped mounts (5.12): only privileged containers work`,
      'boot a newer kernel, or create with --privileged',
    )
  else found.ok(`Linux ${text}`)
  const kinds = kernelNamespaces()
  const absent = ['mnt', 'net', 'ipc', 'uts', 'pid'].filter((kind) => !kinds.includes(kind))
  if (absent.length > 0) found.block(`the kernel lacks namespaces: ${absent.join(', ')}`, 'boot a kernel with CONFIG_NAMESPACES')
  else found.ok(`namespaces: ${kinds.join(' ')}`)
  if (hasSeccompFilter()) found.ok('seccomp filters')
  else
    found.block('the kernel has no seccomp filters', 'boot a kernel with CONFIG_SECCOMP_FILTER, or set seccomp.profile: none in the config')
  return found.list
}

export function checkCgroups(): Finding[] {
  const found = new Findings('cgroups')
  const layout = cgroupLayout()
  if (layout === 'none') {
    found.block('no cgroups are mounted', 'mount -t cgroup2 cgroup2 /sys/fs/cgroup')
    return found.list
  }
  const controllers = cgroupControllers()
  found.ok(`layout ${layout}: ${controllers.join(' ')}`)
  if (!cgroupsAreWritable())
    found.block('the cgroup mounts are read-only', 'mount -o remount,rw /sys/fs/cgroup; inside a container, allow it nesting')
  const absent = ['memory', 'cpu', 'pids'].filter((name) => !controllers.includes(name))
  if (absent.length > 0)
    found.warn(
      `no controller for ${absent.map((name) => `limits.${name === 'cpu' ? 'cpus' : name}`).join(', ')}`,
      absent.includes('memory') ? "boot with 'cgroup_enable=memory'" : 'boot a kernel with these controllers',
    )
  if (layout !== 'v2' && !controllers.includes('devices'))
    found.warn('no devices controller: privileged containers reach every device', 'mount the devices hierarchy')
  if (/^\s*KillUserProcesses\s*=\s*yes/m.test(readText('/etc/systemd/logind.conf') ?? ''))
    found.warn(
      'logind ends what a user started when she logs out, containers too',
      "set KillUserProcesses=no in /etc/systemd/logind.conf, or use 'loginctl enable-linger root'",
    )
  return found.list
}

const FIRST_ID = 1_000_000
const LAST_ID = 2 ** 32 - 2

export function checkUsers(): Finding[] {
  const found = new Findings('users')
  if (hasUserNamespaces()) found.ok('user namespaces')
  else found.block('user namespaces are off', 'sysctl -w user.max_user_namespaces=15000, or create with --privileged')
  const { uid, gid } = subordinateRanges()
  const inside = [...uid, ...gid].filter(({ first, count }) => first <= LAST_ID && first + count > FIRST_ID)
  if (inside.length > 0)
    found.ok(
      `ranges of others from ${FIRST_ID} up, left alone: ${[...new Set(inside.map(({ owner, first, count }) => `${owner} ${first}-${first + count - 1}`))].join(', ')}`,
    )
  return found.list
}

export function checkStorage(paths: Paths): Finding[] {
  const found = new Findings('storage')
  const place = existing(paths.lxcpath)
  checkIdmap(place, found)
  const space = freeSpace(place)
  if (space !== undefined && space.bytes < LOW_SPACE_BYTES)
    found.warn(`${Math.round(space.bytes / 1024 ** 2)} MiB are left at ${place}`, `df -h ${place}; a Debian container needs about 400 MiB`)
  if (space !== undefined && space.inodes < LOW_INODES) found.warn(`${space.inodes} inodes are left at ${place}`, `df -i ${place}`)
  if (which('mmdebstrap') === undefined && which('debootstrap') === undefined)
    found.warn('neither mmdebstrap nor debootstrap: no Debian or Ubuntu containers', installCommand('mmdebstrap'))
  else found.ok(`bootstrap by ${which('mmdebstrap') === undefined ? 'debootstrap' : 'mmdebstrap'}`)
  if (which('busybox') === undefined) found.warn('no busybox: no busybox containers', installCommand('busybox-static'))
  return found.list
}

function checkIdmap(place: string, found: Findings): void {
  const { name, answer } = idmapSupport(place)
  const fix = 'put the lxcpath on ext4, xfs or btrfs, or create with --privileged'
  if (answer === 'yes') found.ok(`idmapped mounts at ${place} (${name})`)
  else if (answer === 'no') found.block(`no idmapped mounts at ${place} (${name})`, fix)
  else found.warn(`idmapped mounts at ${place} are not certain (file system ${name})`, fix)
}

/** The nearest directory that exists. */
function existing(path: string): string {
  return existsSync(path) || path === '/' ? path : existing(dirname(path))
}

interface Limit {
  readonly name: string
  readonly least: number
  readonly wanted: number
  /** What goes wrong, in the words of the program that fails. */
  readonly sign: string
}

// Each container's systemd takes some of these, and all containers share root's allowance.
const LIMITS: readonly Limit[] = [
  {
    name: 'fs.inotify.max_user_instances',
    least: 512,
    wanted: 1024,
    sign: "'too many open files' from systemd after about ten containers",
  },
  { name: 'fs.inotify.max_user_watches', least: 65_536, wanted: 1_048_576, sign: "'no space left on device' from inotify" },
  { name: 'kernel.keys.maxkeys', least: 2000, wanted: 2000, sign: "'disk quota exceeded' from keyctl and at start" },
  { name: 'kernel.keys.maxbytes', least: 200_000, wanted: 2_000_000, sign: "'disk quota exceeded' from keyctl and at start" },
  { name: 'kernel.pid_max', least: 32_768, wanted: 4_194_304, sign: "'cannot fork'" },
]

export function checkLimits(): Finding[] {
  const found = new Findings('limits')
  for (const { name, least, wanted, sign } of LIMITS) {
    const value = sysctl(name)
    if (value === undefined) continue
    if (Number(value) >= least) found.ok(`${name} = ${value}`)
    else
      found.warn(
        `${name} = ${value} is low: ${sign}`,
        `echo '${name} = ${wanted}' > /etc/sysctl.d/60-tslxc-${name.split('.').at(-1)}.conf && sysctl --system`,
      )
  }
  return found.list
}
