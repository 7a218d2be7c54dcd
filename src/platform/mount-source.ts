/** What can be mounted. Paths are the host's and absolute. */
export type MountSource =
  | { readonly kind: 'bind'; readonly path: string; readonly recursive: boolean }
  | { readonly kind: 'fs'; readonly type: string; readonly source: string; readonly options: string }
  /** Top layer first. `work` is made when it is missing. Without `upper` it is read-only. */
  | { readonly kind: 'overlay'; readonly lowers: readonly string[]; readonly upper?: string; readonly work?: string }
  /** `type` of a loop or block source: a file system's, or `auto` for what its superblock says (ext4, xfs, btrfs). */
  | { readonly kind: 'loop'; readonly file: string; readonly type: string }
  | { readonly kind: 'block'; readonly device: string; readonly type: string }
