import type { LoadedConfig } from '../config/loaded.ts'
import type { FstabEntry } from '../config/mount-values.ts'
import type { ManagedNetwork } from '../network/managed-file.ts'
import type { MountSource, Namespace, Stamp } from '../runtime/spec.ts'

/** What the guest understands, from record.json; absent: a container that no template made, whose files are left alone. */
export interface GuestRecord {
  readonly network: 'networkd' | 'ifupdown' | 'busybox' | 'none'
  readonly init: 'systemd' | 'busybox' | 'sysv'
}

/** All that a spec depends on. Compiling is a function of it. */
export interface CompileInput {
  readonly name: string
  /** Absolute. */
  readonly configFile: string
  /** The container's own directory. */
  readonly containerDir: string
  /** Started from a file alone (`start -f`), without a directory of its own. */
  readonly isVolatile: boolean
  readonly loaded: LoadedConfig
  readonly guest?: GuestRecord
  /** Absent: rootfs.path is not set. */
  readonly rootfs?: MountSource
  /** The owners of its files are shifted by this on the disk. */
  readonly rootfsShift?: number
  /** Where each data volume is. */
  readonly volumes: ReadonlyMap<string, MountSource>
  /** Content of `mount.fstab`. */
  readonly fstab: readonly FstabEntry[]
  /** Sources of `shares` that are plain files. */
  readonly fileShares: ReadonlySet<string>
  /** The managed network of a bridge. */
  readonly managed: ReadonlyMap<string, ManagedNetwork>
  /** Namespaces to join: `--share-net` and its like. */
  readonly join: Readonly<Partial<Record<Namespace, string>>>
  readonly hasSeccompFilter: boolean
  readonly build: string
  readonly stamps: readonly Stamp[]
}
