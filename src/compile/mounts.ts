/** What is mounted, in order: the root file system, what the kernel offers, then what the config says. */
import { errorIn } from '../config/loaded.ts'
import type { AutoMount, FstabEntry, MountOptions, Share } from '../config/mount-values.ts'
import type { Config } from '../config/schema.ts'
import type { VolumeMount } from '../config/volume-values.ts'
import type { MountEntry } from '../runtime/spec.ts'
import type { CompileInput } from './input.ts'

const DEFAULT_AUTO: readonly AutoMount[] = ['proc:mixed', 'sys:mixed', 'cgroup']
/** Mounted in the container's own namespaces, whose content they show. All others are made by the monitor. */
const INIT_TYPES: readonly string[] = ['proc', 'sysfs', 'devpts', 'mqueue', 'tmpfs', 'cgroup', 'cgroup2']
const KERNEL_FLAGS: readonly string[] = ['nosuid', 'nodev', 'noexec']

export function mountPlan(input: CompileInput): readonly MountEntry[] {
  const { config } = input.loaded
  return [
    ...rootfsMount(input),
    ...autoMounts(config),
    ...((config.autodev?.value ?? true) ? DEV_MOUNTS : []),
    ...(config.volumes ?? []).map((volume) => volumeMount(volume, input)),
    ...input.fstab.map((entry) => fstabMount(entry, config)),
    ...(config.mount?.entry ?? []).map((entry) => fstabMount(entry, config)),
    ...(config.shares ?? []).map((share) => shareMount(share, input)),
  ]
}

const isPrivileged = ({ idmap }: Config): boolean => (idmap?.length ?? 0) === 0
export const usesHostNetwork = ({ net }: Config): boolean => net?.some((item) => item.type === 'none') ?? false
export const autoWords = ({ mount }: Config): readonly AutoMount[] => mount?.auto?.flat() ?? DEFAULT_AUTO

function rootfsMount(input: CompileInput): readonly MountEntry[] {
  const { config } = input.loaded
  const { options } = config.rootfs ?? {}
  if (input.rootfs === undefined)
    throw errorIn(input.loaded, ['rootfs'], 'rootfs.path is not set: there is nothing to start', {
      hint: `add rootfs: { path: "dir:${input.containerDir}/rootfs" }`,
    })
  if (options?.data) throw errorIn(input.loaded, ['rootfs', 'options'], `rootfs.options: '${options.data}' is no flag of a mount`)
  const isIdmapped = !isPrivileged(config) && options?.idmap !== 'none' && input.rootfsShift === undefined
  if (input.rootfsShift !== undefined) requireIds(input, input.rootfsShift)
  return [
    {
      target: '/',
      by: 'monitor',
      source: input.rootfs,
      flags: options?.flags ?? [],
      ...(options?.propagation === undefined ? {} : { propagation: options.propagation }),
      ...(isIdmapped ? { idmap: 'container' } : {}),
    },
  ]
}

/** Owners that are shifted on the disk are right for one range of ids alone. */
function requireIds({ loaded }: CompileInput, shift: number): void {
  const entries = loaded.config.idmap ?? []
  if (entries.length > 0 && entries.every(({ inside, outside }) => outside - inside === shift)) return
  throw errorIn(loaded, ['idmap'], `idmap: the owners of the root file system are shifted by ${shift} on its disk, and idmap is another`, {
    hint: `idmap: ["b 0 ${shift} 65536"]`,
  })
}

function volumeMount({ volume, target, readOnly }: VolumeMount, { loaded, volumes }: CompileInput): MountEntry {
  return {
    target,
    by: 'monitor',
    source: volumes.get(volume) ?? { kind: 'bind', path: '', recursive: false },
    // Owners on the disk are those inside, so that containers of any id range see the same.
    flags: ['nosuid', 'nodev', readOnly ? 'ro' : 'rw'],
    create: 'dir',
    ...(isPrivileged(loaded.config) ? {} : { idmap: 'container' }),
  }
}

function kernelMount(type: string, target: string, extra: Partial<MountEntry> = {}): MountEntry {
  return { target, by: 'init', source: { kind: 'fs', type, source: type, options: '' }, flags: KERNEL_FLAGS, create: 'dir', ...extra }
}

/** A place bound onto itself: it keeps its mount's flags when the one above turns read-only (security.readonlyPaths). */
function keepWritable(path: string): MountEntry {
  return { target: path, by: 'init', source: { kind: 'bind', path, recursive: false }, flags: [], optional: true, relative: true }
}

function autoMounts(config: Config): readonly MountEntry[] {
  const words = autoWords(config)
  const ownNetwork = !usesHostNetwork(config)
  const mounts: MountEntry[] = []
  if (words.some((word) => word.startsWith('proc:'))) mounts.push(kernelMount('proc', '/proc'))
  // The rest of /proc/sys belongs to the host.
  if (words.includes('proc:mixed') && ownNetwork) mounts.push(keepWritable('/proc/sys/net'))
  if (words.some((word) => word.startsWith('sys:'))) mounts.push(sysMount(config, words))
  if (words.includes('sys:mixed') && ownNetwork) mounts.push(keepWritable('/sys/devices/virtual/net'))
  return mounts
}

function sysMount(config: Config, words: readonly AutoMount[]): MountEntry {
  // kernel: sysfs can only be mounted by a user namespace that owns the network namespace (fs/sysfs/mount.c).
  if (usesHostNetwork(config) && !isPrivileged(config))
    return {
      target: '/sys',
      by: 'monitor',
      source: { kind: 'bind', path: '/sys', recursive: true },
      flags: [...KERNEL_FLAGS, 'ro'],
      create: 'dir',
    }
  return kernelMount('sysfs', '/sys', words.includes('sys:ro') ? { flags: [...KERNEL_FLAGS, 'ro'] } : {})
}

const DEV_MOUNTS: readonly MountEntry[] = [
  {
    ...kernelMount('tmpfs', '/dev/shm', { flags: ['nosuid', 'nodev'] }),
    source: { kind: 'fs', type: 'tmpfs', source: 'tmpfs', options: 'mode=1777' },
  },
  kernelMount('mqueue', '/dev/mqueue', { optional: true }),
]

function fstabMount(entry: FstabEntry, config: Config): MountEntry {
  const { source, target, type, options } = entry
  const isBind = options.bind !== undefined
  const byInit = isBind ? options.relative : INIT_TYPES.includes(type)
  return {
    target,
    by: byInit ? 'init' : 'monitor',
    source:
      options.bind === undefined
        ? { kind: 'fs', type, source, options: options.data }
        : { kind: 'bind', path: options.relative ? `/${source.replace(/^\/+/, '')}` : source, recursive: options.bind.recursive },
    flags: options.flags,
    ...extras(options, config),
  }
}

function extras(options: MountOptions, config: Config): Partial<MountEntry> {
  return {
    ...(options.propagation === undefined ? {} : { propagation: options.propagation }),
    ...(options.create === undefined ? {} : { create: options.create }),
    ...(options.optional ? { optional: true } : {}),
    ...(options.idmap === 'container' && !isPrivileged(config) ? { idmap: 'container' } : {}),
    ...(options.relative ? { relative: true } : {}),
  }
}

function shareMount(share: Share, { loaded, fileShares }: CompileInput): MountEntry {
  // Through a writable idmapped mount the guest's root would make files that are the host root's.
  const idmap = share.readOnly || share.root ? 'container' : 'container-without-root'
  return {
    target: share.target,
    by: 'monitor',
    source: { kind: 'bind', path: share.source, recursive: false },
    flags: ['nosuid', 'nodev', share.readOnly ? 'ro' : 'rw'],
    create: fileShares.has(share.source) ? 'file' : 'dir',
    ...(share.optional ? { optional: true } : {}),
    ...(isPrivileged(loaded.config) ? {} : { idmap }),
  }
}
