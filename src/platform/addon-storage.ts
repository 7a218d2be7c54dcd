/** What the addon does for storage drivers: single files, loop devices, sizes, quotas. */

export interface StorageAddon {
  /** The content of a file into an empty one that is there, by reflink where it can; holes stay holes. Stops when `cancel` turns to 1. */
  copyFile(from: string, to: string, cancel: Int32Array): Promise<void>
  /** `/dev/loop0`; undefined: the file is on none. */
  loopDeviceOf(file: string): string | undefined
  /** Tells the loop device of a file that has grown, if there is one. */
  refreshLoopSize(file: string): void
  /** Of the file system that is mounted at `root`, to at most `bytes`, which its device has. */
  growFilesystem(root: string, bytes: number): Promise<void>
  /** What a tree takes on its mount, files with several names once. Blocks that are shared with others count in full. */
  treeUsage(path: string): Promise<{ usedBytes: number; apparentBytes: number; entries: number }>
  /** Of ext4 or xfs: `off` where accounts may be kept but nothing is refused. */
  projectQuotaState(path: string): 'enforced' | 'off' | 'unsupported'
  /** The project of a directory, 0: none. */
  projectOf(path: string): number
  /** Charges all that is in a tree to a project, and what will be made in it. */
  setProject(path: string, id: number): Promise<void>
  /** Of the file system at `path`; a limit of 0 is none. Undefined: nobody used that project. */
  projectAccount(path: string, id: number): { usedBytes: number; limitBytes: number; entries: number } | undefined
  /** In bytes; 0: none. */
  setProjectLimit(path: string, id: number, bytes: number): void
}

interface Guards {
  translated<T>(call: () => T): T
  translatedAsync<T>(call: () => Promise<T>): Promise<T>
  absolute(path: string): string
}

export function checkedStorage(raw: StorageAddon, { translated, translatedAsync, absolute }: Guards): StorageAddon {
  return {
    copyFile: (from, to, cancel) => translatedAsync(() => raw.copyFile(absolute(from), absolute(to), cancel)),
    loopDeviceOf: (file) => translated(() => raw.loopDeviceOf(absolute(file))),
    refreshLoopSize: (file) => translated(() => raw.refreshLoopSize(absolute(file))),
    growFilesystem: (root, bytes) => translatedAsync(() => raw.growFilesystem(absolute(root), bytes)),
    treeUsage: (path) => translatedAsync(() => raw.treeUsage(absolute(path))),
    projectQuotaState: (path) => translated(() => raw.projectQuotaState(absolute(path))),
    projectOf: (path) => translated(() => raw.projectOf(absolute(path))),
    setProject: (path, id) => translatedAsync(() => raw.setProject(absolute(path), id)),
    projectAccount: (path, id) => translated(() => raw.projectAccount(absolute(path), id)),
    setProjectLimit: (path, id, bytes) => translated(() => raw.setProjectLimit(absolute(path), id, bytes)),
  }
}
