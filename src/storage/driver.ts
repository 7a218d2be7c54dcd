/** One way to keep root file systems. Stateless: what a driver knows is in the record it returned. */
import type { MountSource } from '../runtime/spec.ts'

export type DriverName = 'dir'

/** What was made, written to volume.json by its maker; never derived from a path. */
export interface Volume {
  readonly driver: DriverName
  /** Absolute path of the directory (dir). */
  readonly path: string
}

/** Where a volume shall be: a container's rootfs, or an image of the cache. */
export interface VolumeRef {
  /** Directory that belongs to the owner (container or image); exists, 0700 ancestor. */
  readonly dir: string
  /** `rootfs` for a container's. */
  readonly name: string
}

export type Capabilities =
  | { readonly usable: true; readonly cow: boolean; readonly quota: boolean; readonly snapshotsNeedFreeze: boolean }
  | { readonly usable: false; readonly reason: string; readonly hint: string }

export interface CloneOptions {
  readonly signal?: AbortSignal | undefined
  /** Added to every owner; default 0. */
  readonly shift?: number
}

export interface StorageDriver<V extends Volume = Volume> {
  readonly name: V['driver']
  probe(dir: string): Promise<Capabilities>
  /** Pure: the record that `create` and `clone` will return, for the journal, which is written before anything is made. */
  locate(at: VolumeRef): V
  /** Empty; image code fills it. */
  create(at: VolumeRef): Promise<V>
  /** Writable; copy-on-write where the driver can, a full copy where it can't. After a failure nothing is left. */
  clone(from: V, to: VolumeRef, options?: CloneOptions): Promise<V>
  /** Absent is success; so is what is left of a half-made one. */
  destroy(volume: V): Promise<void>
  /** Makes the content reachable as a directory while `use` runs. */
  withMounted<T>(volume: V, use: (root: string) => Promise<T>): Promise<T>
  /** Pure; native mounts it. */
  rootfsPlan(volume: V): MountSource
}
