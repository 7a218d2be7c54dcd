/** One way to keep root file systems. Stateless: what a driver knows is in the record it returned, or it asks its store. */
import type { MountSource } from '../runtime/spec.ts'

export type DriverName = 'dir' | 'overlay' | 'btrfs' | 'zfs' | 'lvm' | 'loop'

/** What was made, written to volume.json by its maker; never derived from a path. A driver adds fields of its own. */
export interface Volume {
  readonly driver: DriverName
  /**
   * What `rootfs.path` says behind the driver's name: a directory (dir), a subvolume (btrfs), a dataset (zfs), a device
   * (lvm), an image file (loop), LOWER[:LOWER…]:UPPER (overlay).
   */
  readonly path: string
  /** Largest size of the data in bytes, enforced by the store. Absent: none. */
  readonly limitBytes?: number
  /**
   * First host id of its owners: added to every one of them on the disk, where mounts can't translate ids. Absent: they
   * are the guest's own.
   */
  readonly shift?: number
}

/** Where a store keeps things, and how a block device of it is made: settings, then the options of a command. */
export interface Pool {
  /** Parent dataset, `tank/lxc` (zfs). */
  readonly zfsRoot?: string | undefined
  /** Volume group; its thin pool; name of the logical volume, when not the label (lvm). */
  readonly vg?: string | undefined
  readonly thinPool?: string | undefined
  readonly lvName?: string | undefined
  /** ext4, xfs or btrfs (lvm, loop). */
  readonly fstype?: string | undefined
  /** Of the block device (lvm, loop). */
  readonly sizeBytes?: number | undefined
}

/** Where a volume shall be. */
export interface VolumeRef {
  /** Directory that belongs to the owner (container, snapshot, image); exists, 0700 ancestor. */
  readonly dir: string
  /** Of the entry in `dir`: `rootfs`. */
  readonly name: string
  /** Unique in the store, for drivers with a name space of their own: `web`, `web@snap0`, `image-0123456789ab`. */
  readonly label: string
  readonly pool: Pool
}

export type Capabilities =
  | {
      readonly usable: true
      /** `clone` and `snapshot` share blocks and take no longer for more data. */
      readonly cow: boolean
      /**
       * `clone` is as good as a full copy: neither side ever depends on the other. A copy is made by it even where nobody
       * asked for one that shares blocks.
       */
      readonly clonesAreCopies?: true
      /** Mounts of it can't translate ids: what an unprivileged container owns has its shifted ids on the disk. */
      readonly idmap?: false
      /** A limit on the size of the data can be enforced here; else why not. */
      readonly quota: true | { readonly reason: string; readonly hint: string }
      /** A snapshot of a running container needs it to stand still, so that all files are of one moment. */
      readonly snapshotsNeedFreeze: boolean
      /** It is taken below the file system: what was written has to be flushed while the container stands still. */
      readonly snapshotsNeedFlush?: true
    }
  | { readonly usable: false; readonly reason: string; readonly hint: string }

export interface MakeOptions {
  readonly signal?: AbortSignal | undefined
}

export interface CloneOptions extends MakeOptions {
  /** Added to every owner; default 0. */
  readonly shift?: number
}

export interface Usage {
  /** Bytes that would come free with it; shared ones are left out where the store can tell. */
  readonly usedBytes: number
  /** Bytes of the data that it shows, shared or not. */
  readonly referencedBytes: number
  readonly limitBytes?: number
}

export interface MountedOptions {
  readonly readOnly?: boolean
}

/** A store's own streams, of read-only volumes alone: all of one, or what differs from an earlier one. */
export interface VolumeStream<V extends Volume = Volume> {
  /** What was received can't go while a clone of it is there: only a snapshot that is kept is worth a stream. */
  readonly onlyKept?: true
  /** Why one can't be sent, or not against that base; undefined: it can. */
  obstacle(of: V, base?: V): Promise<string | undefined>
  /** The same for a volume and for what was received of it. */
  identity(of: V): Promise<string>
  /** The program that writes the stream to its standard output. */
  sender(of: V, base?: V): readonly string[]
  /** The program that reads it from its standard input, and the read-only volume that it makes. Makes nothing. */
  receiver(as: VolumeRef, base?: V): Promise<{ readonly argv: readonly string[]; readonly made: V }>
  /** After the program has ended. @throws HostError when the volume is not there */
  received(made: V): Promise<void>
}

export interface StorageDriver<V extends Volume = Volume> {
  readonly name: V['driver']
  /** No volume ever needs another one: `dependents` is always empty. */
  readonly independent?: true
  /** Pure: the volume of a `rootfs.path` that a person wrote, without the driver's name. @throws UsageError */
  parse(path: string): V
  /** What the store can do where a volume would stand. Makes nothing. */
  probe(at: Pick<VolumeRef, 'dir' | 'pool'>): Promise<Capabilities>
  /** The record that `create`, `clone` and `snapshot` will return, for the journal, which is written first. Makes nothing. */
  locate(at: VolumeRef): Promise<V>
  /** Empty. @throws ExistsError when something that is not ours is in its place */
  create(at: VolumeRef, options?: MakeOptions): Promise<V>
  /** Writable, from a volume or a snapshot of this driver; shares blocks where it can. After a failure nothing is left. */
  clone(from: V, to: VolumeRef, options?: CloneOptions): Promise<V>
  /** Read-only, of one moment. After a failure nothing is left. */
  snapshot(of: V, as: VolumeRef, options?: MakeOptions): Promise<V>
  /**
   * Makes a stopped volume's content shareable, so that `clone` and `snapshot` of it take no time. Absent where that is
   * so anyway. `planSeal` makes nothing and says what the volume's record will be, undefined when there is nothing to do;
   * `seal` does it and can be called again after a crash, with the same two.
   */
  planSeal?(volume: Volume, at: VolumeRef): Promise<V | undefined>
  seal?(volume: Volume, planned: V): Promise<void>
  /**
   * Puts `made`, a volume of this driver for the same owner, into the place of `volume`; what was there ends up as
   * `aside`. The record of what is in the place now: `volume`'s own where names can be changed, else `made`. Can be called
   * again after a crash with the same two, and then goes on where it was left.
   */
  exchange(volume: V, made: V): Promise<{ readonly live: V; readonly aside: V | undefined }>
  /**
   * Instead of `destroy`, where a volume is a tree whose removal takes time: gives up what else there is of it, and answers
   * the tree, which can be renamed and removed at any time from then on. Absent where `destroy` returns at once.
   */
  letGo?(volume: V): Promise<string>
  /** Absent is success; so is what is left of a half-made one. Returns at once where it can: the rest is deleted behind. */
  destroy(volume: V): Promise<void>
  /** Makes the content reachable as a directory while `use` runs; nothing shows in the host's mounts. */
  withMounted<T>(volume: V, use: (root: string) => Promise<T>, options?: MountedOptions): Promise<T>
  /** Pure; native mounts it. */
  rootfsPlan(volume: V): MountSource
  /** Those of `others` that would break without `volume`. */
  dependents(volume: V, others: readonly Volume[]): Promise<readonly Volume[]>
  /** Breaks the dependence of `volume` on others, in place; its new record. Absent where a full copy has to do. */
  promote?(volume: V): Promise<V>
  /**
   * Sets the limit of the data (undefined: none) or the size of the block device with its file system; its new record.
   * Growing works while it is in use. @throws HostError when the content is larger, or the store has no quota
   */
  resize(volume: V, sizeBytes: number | undefined): Promise<V>
  usage(volume: V): Promise<Usage>
  /** Absent: moved file by file. */
  readonly stream?: VolumeStream<V>
}
