/** The content of datasets and snapshots as a directory. */
import { mkdirSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HostError } from '../lib/errors.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'
import type { MountedOptions } from './driver.ts'
import { viewOf } from './zfs-remove.ts'
import { isSnapshot, readProperties, type ZfsVolume, zfs, zfsIfThere } from './zfs-tools.ts'

type Where = Pick<Paths, 'installRoot' | 'runBase'>

export async function withContent<T>(
  paths: Where,
  volume: ZfsVolume,
  use: (root: string) => Promise<T>,
  { readOnly = false }: MountedOptions,
): Promise<T> {
  if (!volume.fuse) {
    const options = isSnapshot(volume) ? '' : 'zfsutil'
    const source = { kind: 'fs', type: 'zfs', source: volume.path, options } as const
    return await withDetachedMount(paths, source, use, { readOnly: readOnly || isSnapshot(volume) })
  }
  if (isSnapshot(volume)) return await withView(paths, volume, use)
  const path = await mountpointOf(volume)
  return await withDetachedMount(paths, { kind: 'bind', path, recursive: false }, use, { readOnly })
}

/** Mounted by zfs-fuse where it is not. */
async function mountpointOf(volume: ZfsVolume): Promise<string> {
  const found = await readProperties(volume.path, ['mountpoint', 'mounted'])
  const path = found?.get('mountpoint')
  if (path === undefined || !path.startsWith('/')) {
    throw new HostError(`cannot mount '${volume.path}': ${found === undefined ? 'there is no such dataset' : 'it has no mount point'}`, {
      hint: found === undefined ? 'zfs list' : `zfs set mountpoint=/DIR ${volume.path}`,
    })
  }
  if (found?.get('mounted') !== 'yes') await zfs(['mount', volume.path], { verb: 'mount', object: volume.path })
  return path
}

let views = 0

/** zfs-fuse shows no `.zfs` directory: a snapshot is seen through a clone. */
async function withView<T>(paths: Where, { path }: ZfsVolume, use: (root: string) => Promise<T>): Promise<T> {
  const view = viewOf(path, views++)
  const mountpoint = join(paths.runBase, 'zfs', view.replaceAll('/', '_'))
  mkdirSync(dirname(mountpoint), { recursive: true, mode: 0o700 })
  const doing = { verb: 'mount', object: path }
  await zfs(['clone', '-o', `mountpoint=${mountpoint}`, path, view], doing)
  try {
    return await withDetachedMount(paths, { kind: 'bind', path: mountpoint, recursive: false }, use, { readOnly: true })
  } finally {
    await zfsIfThere(['destroy', view], doing)
    removeEmpty(mountpoint)
  }
}

function removeEmpty(dir: string): void {
  try {
    rmdirSync(dir)
  } catch {
    // the tool removes it as well
  }
}
