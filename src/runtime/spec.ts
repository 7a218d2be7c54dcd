/**
 * The whole contract with the native program: `spec.json`, a plan in data. It holds intent, never facts about
 * the host, so that the same config compiles to the same bytes on every machine.
 *
 * The field order below is the order in the file: `ls` reads only its head, up to `name`.
 * Both sides reject unknown keys. The C++ twin is `native/spec/spec.hpp`.
 */

import type { MountSource } from '../platform/mount-source.ts'

export type { MountSource }

export const SPEC_VERSION = 1

/** An input the spec was compiled from. `[path]` means: was looked for and absent. ctime in nanoseconds, decimal. */
export type Stamp = readonly [path: string] | readonly [path: string, dev: string, inode: string, sizeBytes: number, ctimeNs: string]

export interface Listing {
  readonly autostart: boolean
  readonly order: number
  readonly delaySeconds: number
  readonly groups: readonly string[]
  readonly unprivileged: boolean
}

export type Namespace = 'mount' | 'net' | 'ipc' | 'uts' | 'pid' | 'user' | 'cgroup' | 'time'

export interface Spec {
  readonly version: typeof SPEC_VERSION
  /** Content of dist/build-id of the program that compiled it; another one makes the spec stale. */
  readonly build: string
  readonly listing: Listing
  readonly stamps: readonly Stamp[]
  readonly name: string
  /** Absolute path of config.yaml: for LXC_CONFIG_FILE and messages. */
  readonly configFile: string
  /** Human text of `rootfs.path` as configured (for LXC_ROOTFS_PATH), e.g. `dir:/var/lib/tslxc/web/rootfs`. */
  readonly rootfsPath: string
  /** Where the rootfs stands before pivot_root, in the container's mount namespace (LXC_ROOTFS_MOUNT); absent: native's own choice. */
  readonly rootfsMount?: string
  readonly init: InitPlan
  readonly hostname: string
  readonly namespaces: {
    readonly create: readonly Namespace[]
    /** Namespaces to join instead: a pid, a container's name or an absolute path of an nsfs file. */
    readonly join: Readonly<Partial<Record<Namespace, string>>>
  }
  /** Empty: privileged. */
  readonly idmap: readonly IdRange[]
  /** In mount order; the first one is the rootfs, target `/`. */
  readonly mounts: readonly MountEntry[]
  readonly autodev: { readonly enabled: boolean; readonly tmpfsBytes: number }
  readonly files: readonly GuestFile[]
  readonly devices: readonly DeviceRule[]
  readonly network: readonly InterfacePlan[]
  readonly cgroup: CgroupPlan
  readonly security: SecurityPlan
  readonly rlimits: readonly Rlimit[]
  readonly console: ConsolePlan
  readonly hooks: HookPlan
  readonly log: { readonly file?: string; readonly level: string }
  readonly ephemeral: boolean
  /** Effective config in LXC's spelling for `info -c KEY`: [key, value] pairs, list keys repeated, key with `lxc.` prefix. */
  readonly keys: readonly (readonly [key: string, value: string])[]
}

export interface InitPlan {
  readonly argv: readonly string[]
  readonly cwd: string
  /** `KEY=value` for init. `container=lxc` is among them unless configured otherwise. */
  readonly env: readonly string[]
  /** Names whose values are taken from the environment of the starting command. */
  readonly inheritEnv: readonly string[]
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  /** Signal numbers of the architecture. `halt` absent: the monitor detects systemd (it blocks SIGRTMIN+3), else SIGPWR. */
  readonly signals: { readonly halt?: number; readonly reboot: number; readonly stop: number }
  /** personality(2) value, e.g. 8 for PER_LINUX32. */
  readonly personality?: number
}

export interface IdRange {
  readonly type: 'u' | 'g'
  readonly inside: number
  readonly outside: number
  readonly count: number
}

export interface MountEntry {
  /** Absolute inside the container. Resolved beneath the rootfs, symlinks refused where they would leave it. */
  readonly target: string
  /** Who makes the mount: the monitor in the first user namespace (detached, handed over), or init in the container. */
  readonly by: 'monitor' | 'init'
  readonly source: MountSource
  /** ro rw nosuid suid nodev dev noexec exec sync async dirsync noatime atime nodiratime relatime strictatime lazytime nosymfollow */
  readonly flags: readonly string[]
  /** private rprivate shared rshared slave rslave unbindable runbindable */
  readonly propagation?: string
  readonly create?: 'dir' | 'file'
  readonly optional?: true
  /** `container`: on-disk id N appears as id N inside. `container-without-root`: the same, but host uid and gid 0 are left out. */
  readonly idmap?: 'container' | 'container-without-root'
  /** The bind's source path lies inside the rootfs. */
  readonly relative?: true
}

/** A file init writes after pivot_root with the container's own ids, only where it differs. */
export interface GuestFile {
  readonly path: string
  readonly content: string
  readonly mode: number
  /** `replace`: the file is ours. `block`: our marked lines in a file of the admin's. `absent`: removed if it is there (content empty). */
  readonly kind: 'replace' | 'block' | 'absent'
  /** Skip the file when this directory does not exist in the guest. */
  readonly onlyIfDir?: string
}

export interface DeviceRule {
  readonly allow: boolean
  readonly type: 'a' | 'b' | 'c'
  /** Absent: any. */
  readonly major?: number
  readonly minor?: number
  readonly access: string
}

export interface InterfacePlan {
  /** The N of `net.N`. */
  readonly index: number
  readonly type: 'veth' | 'empty' | 'none'
  /** Name inside; absent: `ethN` by order. */
  readonly name?: string
  /** Bridge to join; absent: none. */
  readonly link?: string
  /** Fixed host-side name; absent: the monitor makes one. */
  readonly hostName?: string
  readonly hwaddr?: string
  readonly mtu?: number
  readonly up: boolean
  readonly addresses: readonly { readonly family: 4 | 6; readonly address: string; readonly prefix: number; readonly broadcast?: string }[]
  /** `auto`: the bridge's own address, read at start. `dev`: a device route. */
  readonly gateways: readonly { readonly family: 4 | 6; readonly address: string }[]
  readonly scripts: { readonly up: readonly (readonly string[])[]; readonly down: readonly (readonly string[])[] }
}

export interface CgroupPlan {
  /** Below the hierarchy's root or the caller's cgroup; absent: tslxc.payload.NAME, tslxc.monitor.NAME, `guest`. */
  readonly path?: string
  readonly monitorPath?: string
  readonly innerPath?: string
  /** cgroup v2 file → value, in order. */
  readonly limits: readonly (readonly [file: string, value: string])[]
  /** cgroup v1 file → value, in order. */
  readonly legacyLimits: readonly (readonly [file: string, value: string])[]
}

export interface SecurityPlan {
  readonly capabilities: { readonly mode: 'drop' | 'keep'; readonly names: readonly string[] }
  /** File beside spec.json with a ready BPF program (array of struct sock_filter); absent: none. */
  readonly seccompFilter?: string
  readonly noNewPrivileges: boolean
  /** A session keyring of its own. */
  readonly keyring: boolean
  /** Absent ones are skipped. A directory is covered by an empty read-only tmpfs, a file by /dev/null. After all mounts. */
  readonly maskedPaths: readonly string[]
  /** Each is bound recursively onto itself and then only the top mount made read-only: a mount below it (`/proc/sys/net`) stays writable. */
  readonly readonlyPaths: readonly string[]
}

export interface Rlimit {
  /** Without RLIMIT_, lower case: nofile. */
  readonly name: string
  /** Absent: unlimited. */
  readonly soft?: number
  readonly hard?: number
}

export interface ConsolePlan {
  readonly ttys: number
  /** Below /dev, e.g. `lxc`; empty: /dev/ttyN directly. */
  readonly ttyDir: string
  /** newinstance devpts `max=`. */
  readonly ptys: number
  /** `none`: no console; an absolute path: a host device or file; absent: a pty of the monitor's. */
  readonly path?: string
  readonly logFile?: string
  readonly rotate: boolean
  readonly logBytes: number
  /** Ring buffer in the monitor; 0: none. */
  readonly bufferBytes: number
}

export interface HookPlan {
  readonly version: 0 | 1
  /** `KEY=value` for hooks, besides LXC's own variables. */
  readonly env: readonly string[]
  /** Names whose values are taken from the environment of the starting command. */
  readonly inheritEnv: readonly string[]
  readonly steps: Readonly<Partial<Record<HookName, readonly (readonly string[])[]>>>
}

export type HookName = 'pre-start' | 'pre-mount' | 'mount' | 'autodev' | 'start-host' | 'start' | 'stop' | 'post-stop'
