/**
 * Which root file systems `mount` has put into the host's mount table: host-mounts.json of a container's directory.
 *
 * The file is written before the mount is made and says where to look; the kernel's table says whether it is there. It is
 * an input of the spec that must be absent, so that a start asks the compiler, which refuses.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { StateError } from '../../lib/errors.ts'
import { readJson, writeJson } from '../../platform/files.ts'
import { mountNamespaceOf, mountPoints, processIn } from '../../platform/mount-table.ts'
import type { Container } from '../store.ts'

const HOST_MOUNTS_VERSION = 1
type Place = Pick<Container, 'dir'>

export const hostMountsFile = ({ dir }: Place): string => join(dir, 'host-mounts.json')

export interface HostMount {
  /** Absolute, without symlinks. */
  readonly path: string
  readonly readOnly: boolean
  /** Absent: the container's root file system itself. */
  readonly snapshot?: string
  /** The guest and the host would write to it, or mount it twice. */
  readonly blocksStart: boolean
  /** `mount` made the directory, and `umount` removes it. */
  readonly madeDirectory: boolean
  readonly bootId: string
  /** `mnt:[…]` */
  readonly namespace: string
}

interface HostMounts {
  readonly version: typeof HOST_MOUNTS_VERSION
  readonly mounts: readonly HostMount[]
}

/** Where and when this process runs, as the record names it. */
export const mountPlace = (): Pick<HostMount, 'bootId' | 'namespace'> => ({
  bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  namespace: mountNamespaceOf('self') ?? '',
})

/** Those that were written down and are still mounted. Takes no lock. */
export async function hostMounts(container: Place): Promise<readonly HostMount[]> {
  const record = await readJson<HostMounts>(hostMountsFile(container), HOST_MOUNTS_VERSION)
  return record === undefined ? [] : record.mounts.filter(isMounted)
}

/** Under the container's lock: the same, and the file says no more than that from now on. */
export async function settleHostMounts(container: Place): Promise<readonly HostMount[]> {
  const record = await readJson<HostMounts>(hostMountsFile(container), HOST_MOUNTS_VERSION)
  if (record === undefined) return []
  const mounts = record.mounts.filter(isMounted)
  if (mounts.length < record.mounts.length) await writeHostMounts(container, mounts)
  return mounts
}

export async function writeHostMounts(container: Place, mounts: readonly HostMount[]): Promise<void> {
  if (mounts.length === 0) rmSync(hostMountsFile(container), { force: true })
  else await writeJson(hostMountsFile(container), { version: HOST_MOUNTS_VERSION, mounts } satisfies HostMounts)
}

/** Where it can be seen: a process of its mount namespace, `self` for ours. Undefined: it is not mounted any more. */
export function seenBy({ path, bootId, namespace }: HostMount): number | 'self' | undefined {
  const here = mountPlace()
  if (bootId !== here.bootId) return undefined
  const viewer = namespace === here.namespace ? 'self' : processIn(namespace)
  return viewer !== undefined && pointsOf(viewer).includes(path) ? viewer : undefined
}

const isMounted = (mount: HostMount): boolean => seenBy(mount) !== undefined

function pointsOf(viewer: number | 'self'): readonly string[] {
  try {
    return mountPoints(viewer)
  } catch {
    return [] // that process has ended just now
  }
}

const MATTERS = {
  all: () => true,
  live: ({ snapshot }) => snapshot === undefined,
  writable: ({ readOnly }) => !readOnly,
  start: ({ blocksStart }) => blocksStart,
} satisfies Record<string, (mount: HostMount) => boolean>

/**
 * Under the container's lock. `which`: `all` of them, the `live` ones (not those of snapshots), the `writable`, those that
 * a `start` can't be beside, or that of one snapshot.
 * @throws StateError that says where it is mounted
 */
export async function requireNotMounted(
  container: Pick<Container, 'name' | 'dir'>,
  verb: string,
  which: 'all' | 'live' | 'writable' | 'start' | { readonly snapshot: string },
): Promise<void> {
  const matters = typeof which === 'string' ? MATTERS[which] : ({ snapshot }: HostMount) => snapshot === which.snapshot
  const found = (await hostMounts(container)).find(matters)
  if (found === undefined) return
  const { name } = container
  const what = found.snapshot === undefined ? 'its root file system' : `its snapshot '${found.snapshot}'`
  throw new StateError('state', `cannot ${verb} '${name}': ${what} is mounted at '${found.path}'`, {
    hint: `tslxc umount ${found.path}`,
  })
}
