/** A root file system as a directory of the host's file system. */
import { lstatSync, statfsSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ExistsError, HostError } from '../lib/errors.ts'
import { fileError } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import { copyTree, removeTree } from '../platform/trees.ts'
import type { CloneOptions, StorageDriver, Volume, VolumeRef } from './driver.ts'
import { swapPaths } from './swap.ts'

export interface DirVolume extends Volume {
  readonly driver: 'dir'
}

/** File systems whose files are cloned by reference always: statfs(2) magic of btrfs and bcachefs. */
const ALWAYS_REFLINK: readonly number[] = [0x9123683e, 0xca451a4e]
const ROOTFS_MODE = 0o755

const NO_QUOTA = { reason: 'project quota is not supported yet', hint: 'leave limits.disk out' }

export function makeDirDriver(paths: Pick<Paths, 'installRoot'>): StorageDriver<DirVolume> {
  const locate = (at: VolumeRef): DirVolume => ({ driver: 'dir', path: join(at.dir, at.name) })
  const make = async (at: VolumeRef): Promise<DirVolume> => {
    const volume = locate(at)
    requirePrivateAncestor(volume.path)
    await makeEmpty(volume.path)
    return volume
  }
  const clone = async (from: DirVolume, to: VolumeRef, options: CloneOptions = {}): Promise<DirVolume> => {
    const volume = await make(to)
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
    parse: (path) => ({ driver: 'dir', path }),
    locate: async (at) => locate(at),
    create: make,
    async probe({ dir }) {
      return { usable: true, cow: ALWAYS_REFLINK.includes(statfsSync(dir).type), quota: NO_QUOTA, snapshotsNeedFreeze: true }
    },
    clone,
    snapshot: clone,
    async exchange(volume, made) {
      return { live: volume, aside: await swapPaths(volume, made) }
    },
    destroy: (volume) => removeTree(paths, volume.path),
    withMounted: (volume, use) => use(volume.path),
    rootfsPlan: (volume) => ({ kind: 'bind', path: volume.path, recursive: true }),
    dependents: async () => [],
    async resize() {
      throw new HostError(`cannot limit the size of a directory: ${NO_QUOTA.reason}`, { hint: NO_QUOTA.hint })
    },
    async usage() {
      return { usedBytes: 0, referencedBytes: 0 }
    },
  }
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
