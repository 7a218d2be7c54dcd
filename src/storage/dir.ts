/** A root file system as a directory of the host's file system. */
import { lstatSync, statfsSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError, HostError } from '../lib/errors.ts'
import { loadAddon, type NativeAddon } from '../platform/addon.ts'
import { fileError } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import { copyTree, removeTree } from '../platform/trees.ts'
import { limitTree, ownProject, projectQuota, releaseProject } from './dir-quota.ts'
import type { CloneOptions, MakeOptions, StorageDriver, Usage, Volume, VolumeRef } from './driver.ts'
import { swapPaths } from './swap.ts'

export interface DirVolume extends Volume {
  readonly driver: 'dir'
  /** The quota project that its files are charged to, once it had a limit. */
  readonly projectId?: number
}

/** File systems whose files are cloned by reference always: statfs(2) magic of btrfs and bcachefs. */
const ALWAYS_REFLINK: readonly number[] = [0x9123683e, 0xca451a4e]
const ROOTFS_MODE = 0o755

export function makeDirDriver(paths: Pick<Paths, 'installRoot' | 'allocDir'>): StorageDriver<DirVolume> {
  const addon = () => loadAddon(paths.installRoot)
  const locate = (at: VolumeRef): DirVolume => ({ driver: 'dir', path: join(at.dir, at.name) })
  const make = async (at: VolumeRef, { signal }: MakeOptions = {}): Promise<DirVolume> => {
    throwIfAborted(signal)
    const volume = locate(at)
    requirePrivateAncestor(volume.path)
    await makeEmpty(volume.path)
    return volume
  }
  const clone = async (from: DirVolume, to: VolumeRef, options: CloneOptions = {}): Promise<DirVolume> => {
    const volume = await make(to, options)
    try {
      await copyTree(paths, from.path, volume.path, options)
    } catch (error) {
      await removeTree(paths, volume.path)
      throw error
    }
    return volume
  }
  return {
    name: 'dir',
    independent: true,
    parse: (path) => ({ driver: 'dir', path }),
    locate: async (at) => locate(at),
    create: make,
    async probe({ dir }) {
      return {
        usable: true,
        clonesAreCopies: true,
        cow: ALWAYS_REFLINK.includes(statfsSync(dir).type),
        quota: projectQuota(paths, dir),
        snapshotsNeedFreeze: true,
      }
    },
    clone,
    snapshot: clone,
    async exchange(volume, made) {
      return { live: { ...made, path: volume.path }, aside: await swapPaths(volume, made) }
    },
    letGo: async (volume) => letGo(addon(), volume),
    destroy: async (volume) => removeTree(paths, letGo(addon(), volume)),
    withMounted: (volume, use) => use(volume.path),
    rootfsPlan: (volume) => ({ kind: 'bind', path: volume.path, recursive: false }),
    dependents: async () => [],
    resize: (volume, sizeBytes) => resize(paths, volume, sizeBytes),
    usage: (volume) => usage(addon(), volume),
  }
}

/** The tree that is left. */
function letGo(addon: NativeAddon, volume: DirVolume): string {
  releaseProject(addon, volume)
  return volume.path
}

async function resize(
  paths: Pick<Paths, 'installRoot' | 'allocDir'>,
  { limitBytes: _, ...volume }: DirVolume,
  sizeBytes: number | undefined,
): Promise<DirVolume> {
  const projectId = await limitTree(paths, volume, sizeBytes)
  return {
    ...volume,
    ...(projectId === undefined ? {} : { projectId }),
    ...(sizeBytes === undefined ? {} : { limitBytes: sizeBytes }),
  }
}

async function usage(addon: NativeAddon, volume: DirVolume): Promise<Usage> {
  const project = ownProject(addon, volume)
  const account = project === undefined ? undefined : addon.projectAccount(volume.path, project)
  if (account === undefined) {
    const { usedBytes } = await addon.treeUsage(volume.path)
    return { usedBytes, referencedBytes: usedBytes }
  }
  const { usedBytes, limitBytes } = account
  return { usedBytes, referencedBytes: usedBytes, ...(limitBytes === 0 ? {} : { limitBytes }) }
}

async function makeEmpty(path: string): Promise<void> {
  try {
    await mkdir(path)
    await chmod(path, ROOTFS_MODE) // whatever the umask
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new ExistsError(`cannot create '${path}': it already exists`, { cause: error })
    }
    throw fileError('create', path, error)
  }
}

/**
 * Through an idmapped mount the guest's root writes set-user-id files that are the host's root's: no other user of the
 * host may reach them, so one directory above must be closed to all but its owner.
 * @throws HostError `permission`
 */
export function requirePrivateAncestor(path: string): void {
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const { mode, uid } = lstatSync(dir)
    if ((mode & 0o077) === 0 && uid === process.geteuid?.()) return
    if (dir === '/') break
  }
  throw new HostError(`cannot keep a root file system at '${path}': every user of the host can reach it`, {
    code: 'permission',
    hint: `chmod 700 '${dirname(path)}'`,
  })
}
