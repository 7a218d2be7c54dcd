/**
 * The keys of `config.yaml`: LXC's own without the prefix, and our shares, limits and dns. It is the schema of one file;
 * included files are merged after each was checked. What a key means stands in describe.ts.
 */
import type { output } from 'zod/mini'
import * as z from 'zod/mini'
import {
  BadValue,
  field,
  group,
  list,
  type Merged,
  namedValues,
  numberedGroups,
  type Scalar,
  textsOrMaps,
  valueOrGroup,
} from '../lib/fields.ts'
import { absolutePath, commandLine, integer, kernelValue, text, yesNo } from '../lib/values.ts'
import { nameServer } from '../network/address-values.ts'
import { networkItem } from '../network/options.ts'
import { deviceRule } from './devices.ts'
import { autoMounts, fstabEntry, mountOptions, rootfsPath, share } from './mount-values.ts'
import {
  architecture,
  capability,
  cpuLimit,
  diskLimit,
  environmentEntry,
  hostName,
  idmapEntry,
  keptCapability,
  logLevel,
  memoryLimit,
  RLIMITS,
  rlimitValue,
  signal,
  size,
} from './scalars.ts'
import { duration, schedule } from './schedule-values.ts'
import { volumeMap, volumeText } from './volume-values.ts'

const MAX_INT = 2_147_483_647
const MAX_ID = 4_294_967_294

const ids = integer(0, MAX_ID)

/** A cgroup below the hierarchy's root. */
function cgroupPath(value: Scalar): string {
  const path = text(value).replace(/^\/+|\/+$/g, '')
  if (path === '' || path.split('/').some((part) => part === '..' || part === '.' || part === ''))
    throw new BadValue(`'${value}' is no cgroup`)
  return path
}

function cgroupFile(key: string): BadValue | undefined {
  if (/^[a-z0-9_]+(\.[A-Za-z0-9_-]+)+$/.test(key)) return undefined
  return new BadValue(`'${key}' is no file of a cgroup`, 'for example memory.max, written as one key')
}

/** A file, or one of ours. */
function seccompProfile(value: Scalar): string {
  if (value === 'default' || value === 'none') return value
  if (!text(value).startsWith('/')) throw new BadValue(`'${value}' is not default, none or the absolute path of a file`)
  return text(value)
}

const consolePath = (value: Scalar): string => (value === 'none' ? 'none' : absolutePath(value))
const consoleSize = (value: Scalar): number => (value === 'auto' ? 131_072 : size(value))

/** Below /dev. */
function ttyDir(value: Scalar): string {
  const dir = text(value).replace(/^\/dev\//, '')
  if (dir.startsWith('/') || dir.split('/').includes('..')) throw new BadValue(`'${value}' is no directory below /dev`, 'for example lxc')
  return dir.replace(/\/+$/, '')
}

function nameServerOrNone(value: Scalar): string {
  return value === 'none' ? 'none' : nameServer(text(value))
}

const cgroupDir = valueOrGroup({
  value: field(cgroupPath),
  container: valueOrGroup({ value: field(cgroupPath), inner: field(cgroupPath) }),
  monitor: field(cgroupPath),
})

const devices = { 'devices.allow': list(deviceRule), 'devices.deny': list(deviceRule) }
const knownRlimit = (key: string): BadValue | undefined =>
  RLIMITS.includes(key) ? undefined : new BadValue(`'${key}' is no resource limit`, `one of ${RLIMITS.join(', ')}`)

const hook = group({
  version: field((value) => integer(0, 1)(value) as 0 | 1),
  'pre-start': list(commandLine),
  'pre-mount': list(commandLine),
  mount: list(commandLine),
  autodev: list(commandLine),
  'start-host': list(commandLine),
  start: list(commandLine),
  stop: list(commandLine),
  'post-stop': list(commandLine),
  clone: list(commandLine),
  destroy: list(commandLine),
})

/** Of snapshots to keep. */
const count = field(integer(0, 10_000))

export const containerSchema = z.strictObject({
  include: list(text),
  uts: group({ name: field(hostName) }),
  arch: field(architecture),
  init: group({ cmd: field(commandLine), cwd: field(absolutePath), uid: field(ids), gid: field(ids), groups: list(ids) }),
  signal: group({ halt: field(signal), reboot: field(signal), stop: field(signal) }),
  environment: valueOrGroup({ value: list(environmentEntry), runtime: list(environmentEntry), hooks: list(environmentEntry) }),
  ephemeral: field(yesNo),
  keyring: group({ session: field(yesNo) }),
  no_new_privs: field(yesNo),
  net: numberedGroups(networkItem),
  rootfs: group({ path: field(rootfsPath), mount: field(absolutePath), options: field(mountOptions), managed: field(yesNo) }),
  mount: group({ entry: list(fstabEntry), fstab: field(absolutePath), auto: list(autoMounts) }),
  autodev: valueOrGroup({ value: field(yesNo), tmpfs: group({ size: field(size) }) }),
  shares: list(share),
  volumes: textsOrMaps(volumeText, volumeMap),
  limits: group({ memory: field(memoryLimit), cpus: field(cpuLimit), pids: field(integer(1, MAX_INT)), disk: field(diskLimit) }),
  cgroup: namedValues({ ...devices, dir: cgroupDir }, cgroupFile, kernelValue),
  cgroup2: namedValues(devices, cgroupFile, kernelValue),
  cap: group({ drop: list(capability), keep: list(keptCapability) }),
  seccomp: group({ profile: field(seccompProfile) }),
  idmap: list(idmapEntry),
  hook,
  tty: group({ max: field(integer(0, 63)), dir: field(ttyDir) }),
  pty: group({ max: field(integer(1, 1_048_576)) }),
  console: group({
    path: field(consolePath),
    logfile: field(absolutePath),
    size: field(consoleSize),
    buffer: group({ size: field(consoleSize) }),
    rotate: field(yesNo),
  }),
  prlimit: namedValues({}, knownRlimit, rlimitValue),
  log: group({ file: field(absolutePath), level: field(logLevel) }),
  snapshots: group({
    schedule: field(schedule),
    keep: group({ hourly: count, daily: count, weekly: count, monthly: count, yearly: count }),
    expires: field(duration),
  }),
  start: group({ auto: field(yesNo), delay: field(integer(0, MAX_INT)), order: field(integer(-MAX_INT, MAX_INT)) }),
  group: list(text),
  dns: list(nameServerOrNone),
})

/** One checked file. */
export type ConfigFile = output<typeof containerSchema>
/** All files merged; what no file says is absent. */
export type Config = Merged<ConfigFile>
