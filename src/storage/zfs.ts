/**
 * Root file systems as datasets, of OpenZFS or zfs-fuse.
 *
 * A replaced dataset stays as long as snapshots of it are kept: the live one has another name then, since a clone can't
 * take over the snapshots without moving some of them.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { HostError, UsageError } from '../lib/errors.ts'
import { run, which } from '../platform/exec.ts'
import { installCommand } from '../platform/host.ts'
import type { Paths } from '../platform/paths.ts'
import { shiftTree } from '../platform/trees.ts'
import type { MountSource } from '../runtime/spec.ts'
import type { Capabilities, CloneOptions, MakeOptions, MountedOptions, StorageDriver, Usage, Volume, VolumeRef } from './driver.ts'
import { withShift } from './shift.ts'
import { withContent } from './zfs-content.ts'
import { internalName, removeVolume } from './zfs-remove.ts'
import { zfsStream } from './zfs-stream.ts'
import {
  canIdmap,
  datasetOf,
  HOLDER,
  hasModule,
  isSnapshot,
  readProperties,
  rows,
  snapshotsOf,
  type ZfsVolume,
  zfs,
  zfsIfThere,
} from './zfs-tools.ts'

export type { ZfsVolume } from './zfs-tools.ts'

/** LXC's. */
const DEFAULT_ROOT = 'lxc'
const SUCCESSOR = /\.new$/

export function makeZfsDriver(paths: Pick<Paths, 'installRoot' | 'runBase'>): StorageDriver<ZfsVolume> {
  const mounted = <T>(volume: ZfsVolume, use: (root: string) => Promise<T>, options: MountedOptions = {}): Promise<T> =>
    withContent(paths, volume, use, options)
  const create = async (at: VolumeRef, options: MakeOptions = {}): Promise<ZfsVolume> => {
    const volume = await locate(at)
    requireFreePlace(volume)
    await guarded(volume, options, async () => {
      await zfs(['create', ...placing(volume), volume.path], { verb: 'create', object: volume.path })
    })
    return volume
  }
  const clone = async (from: ZfsVolume, to: VolumeRef, options: CloneOptions = {}): Promise<ZfsVolume> => {
    const { shift = 0, signal } = options
    const volume = await locate(to)
    requireFreePlace(volume)
    await guarded(volume, options, async () => {
      await cloneDataset(from, volume, options)
      if (shift !== 0) await shifted(volume, shift, signal)
    })
    return withShift(volume, (from.shift ?? 0) + shift)
  }
  const shifted = async (volume: ZfsVolume, shift: number, signal: MakeOptions['signal']): Promise<void> => {
    try {
      await mounted(volume, (root) => shiftTree(paths, root, shift, { signal }))
    } catch (error) {
      await removeVolume(volume)
      throw error
    }
  }
  return {
    name: 'zfs',
    parse,
    probe,
    locate,
    create,
    clone,
    snapshot,
    exchange: exchangeDatasets,
    destroy: removeVolume,
    withMounted: mounted,
    rootfsPlan,
    dependents,
    resize: resizeDataset,
    usage,
    stream: zfsStream,
  }
}

async function snapshot(of: ZfsVolume, as: VolumeRef, { signal }: MakeOptions = {}): Promise<ZfsVolume> {
  throwIfAborted(signal)
  const volume = snapshotOf(of.path, as)
  await zfs(['snapshot', volume.path], { verb: 'snapshot', object: volume.path })
  return withShift(volume, of.shift ?? 0)
}

function rootfsPlan(volume: ZfsVolume): MountSource {
  if (volume.fuse && volume.mountpoint !== undefined) return { kind: 'bind', path: volume.mountpoint, recursive: false }
  return { kind: 'fs', type: 'zfs', source: volume.path, options: isSnapshot(volume) ? '' : 'zfsutil' }
}

/** @throws UsageError */
function parse(path: string): ZfsVolume {
  if (!/^[A-Za-z][\w.:-]*(\/[\w.:-]+)*(@[\w.:-]+)?$/.test(path)) {
    throw new UsageError(`cannot use '${path}' as a dataset: it is not of the form POOL/NAME`, { hint: 'zfs list' })
  }
  return { driver: 'zfs', path }
}

async function probe(at: Pick<VolumeRef, 'dir' | 'pool'>): Promise<Capabilities> {
  const unusable = (reason: string, hint: string): Capabilities => ({ usable: false, reason, hint })
  if (which('zfs') === undefined || which('zpool') === undefined) {
    return unusable("'zfs' is not installed", installCommand('zfsutils-linux'))
  }
  const root = at.pool.zfsRoot ?? DEFAULT_ROOT
  const pool = root.split('/', 1)[0] ?? root
  const found = await run(['zpool', 'list', '-H', '-o', 'health', pool], { timeoutMs: 10_000, okCodes: [0, 1, 2] })
  if (found.status !== 0) {
    if (/connect|load|module|daemon|\/dev\/zfs/i.test(found.stderr))
      return unusable('neither the module zfs nor zfs-fuse runs', 'modprobe zfs')
    return unusable(`there is no pool '${pool}', or it is not imported`, `zpool create ${pool} /dev/DISK`)
  }
  const health = found.stdout.trim()
  if (health !== 'ONLINE' && health !== 'DEGRADED') return unusable(`the pool '${pool}' is ${health.toLowerCase()}`, `zpool status ${pool}`)
  const properties = await readProperties(root, ['readonly'])
  if (properties === undefined) return unusable(`there is no dataset '${root}'`, `zfs create -p ${root}`)
  if (properties.get('readonly') === 'on') return unusable(`the dataset '${root}' is read-only`, `zfs set readonly=off ${root}`)
  return { usable: true, cow: true, quota: true, snapshotsNeedFreeze: false, ...(canIdmap() ? {} : { idmap: false }) }
}

/** A successor gets a name that is free: the one before it may be live by now. */
async function locate(at: VolumeRef): Promise<ZfsVolume> {
  const root = at.pool.zfsRoot ?? DEFAULT_ROOT
  const [label = '', snapshot] = at.label.split('@')
  if (snapshot !== undefined) return snapshotOf(recordedDataset(at) ?? `${root}/${label}`, at)
  const place = (suffix: string): ZfsVolume => ({
    driver: 'zfs',
    path: `${root}/${label}${suffix}`,
    mountpoint: join(at.dir, `${at.name}${suffix}`),
    ...(hasModule() ? {} : { fuse: true }),
  })
  if (!SUCCESSOR.test(label)) return place('')
  const listed = await zfs(['list', '-H', '-r', '-d', '1', '-o', 'name', root], { verb: 'use', object: root })
  const taken = new Set(rows(listed).map(([name]) => name))
  for (let number = 1; ; number++) {
    const volume = place(number === 1 ? '' : `${number}`)
    if (!taken.has(volume.path)) return volume
  }
}

const snapshotOf = (path: string, { label }: VolumeRef): ZfsVolume => ({
  driver: 'zfs',
  path: `${datasetOf(path)}@${label.slice(label.indexOf('@') + 1)}`,
  ...(hasModule() ? {} : { fuse: true }),
})

/** Of the container whose snapshot it is: after a restore the dataset's name is not the container's. */
function recordedDataset({ dir }: VolumeRef): string | undefined {
  const file = join(dirname(dirname(dir)), 'volume.json')
  if (!existsSync(file)) return undefined
  const { volume } = JSON.parse(readFileSync(file, 'utf8')) as { readonly volume: Volume }
  return volume.driver === 'zfs' ? datasetOf(volume.path) : undefined
}

/** zfs-fuse mounts at once, and again when the pool is imported; OpenZFS's are mounted where they are needed. */
function placing({ mountpoint = 'none', fuse }: ZfsVolume): string[] {
  const common = ['-o', `mountpoint=${mountpoint}`, '-o', `canmount=${fuse ? 'on' : 'noauto'}`]
  return fuse ? common : [...common, '-o', 'xattr=sa', '-o', 'acltype=posixacl']
}

function requireFreePlace({ mountpoint, path }: ZfsVolume): void {
  if (mountpoint === undefined || !mountpoint.includes(' ')) return
  throw new UsageError(`cannot create '${path}': its directory '${mountpoint}' has a space in its name`)
}

/** An abort is answered between the steps: a killed `zfs` might still have done its work. */
async function guarded(volume: ZfsVolume, { signal }: MakeOptions, make: () => Promise<void>): Promise<void> {
  throwIfAborted(signal)
  await make()
  if (!signal?.aborted) return
  await removeVolume(volume)
  throwIfAborted(signal)
}

async function cloneDataset(from: ZfsVolume, volume: ZfsVolume, options: CloneOptions): Promise<void> {
  const doing = { verb: 'clone', object: volume.path }
  const origin = isSnapshot(from) ? from.path : `${from.path}@${internalName(volume.path)}`
  if (!isSnapshot(from)) await zfs(['snapshot', origin], doing)
  try {
    throwIfAborted(options.signal)
    await zfs(['clone', ...placing(volume), origin, volume.path], doing)
  } catch (error) {
    if (!isSnapshot(from)) await zfsIfThere(['destroy', '-d', origin], doing)
    throw error
  }
}

async function exchangeDatasets(volume: ZfsVolume, made: ZfsVolume): Promise<{ live: ZfsVolume; aside: ZfsVolume | undefined }> {
  const snapshots = await snapshotsOf(volume.path)
  if (snapshots === undefined) return { live: made, aside: undefined }
  const doing = { verb: 'replace', object: volume.path }
  if (snapshots.length > 0) {
    await zfs(['set', `${HOLDER}=on`, volume.path], doing)
    await zfs(['set', 'canmount=noauto', volume.path], doing)
    if (volume.fuse && (await readProperties(volume.path, ['mounted']))?.get('mounted') === 'yes')
      await zfs(['unmount', volume.path], doing)
  }
  return { live: made, aside: volume }
}

async function dependents(volume: ZfsVolume, others: readonly Volume[]): Promise<readonly Volume[]> {
  const candidates = others.filter(({ driver, path }) => driver === 'zfs' && path !== volume.path)
  // A snapshot goes with the last of its clones: none of them breaks.
  if (candidates.length === 0 || isSnapshot(volume)) return []
  const pool = volume.path.split('/', 1)[0] ?? volume.path
  const listed = await zfs(['list', '-H', '-r', '-o', 'name,origin', pool], { verb: 'read', object: pool })
  const clones = new Set(rows(listed).flatMap(([name, origin = '-']) => (datasetOf(origin) === volume.path ? [name] : [])))
  return candidates.filter(({ path }) => clones.has(path) || path.startsWith(`${volume.path}@`))
}

async function resizeDataset(volume: ZfsVolume, sizeBytes: number | undefined): Promise<ZfsVolume> {
  const doing = { verb: 'limit', object: volume.path }
  if (sizeBytes !== undefined) {
    const { referencedBytes } = await usage(volume)
    if (sizeBytes < referencedBytes) {
      const reason = `${referencedBytes} bytes are in use, more than ${sizeBytes}`
      throw new HostError(`cannot limit '${volume.path}': ${reason}`, { code: 'no-space', hint: `zfs list -o space ${volume.path}` })
    }
  }
  await zfs(['set', `refquota=${sizeBytes ?? 'none'}`, volume.path], doing)
  const { limitBytes: _, ...rest } = volume
  return sizeBytes === undefined ? rest : { ...rest, limitBytes: sizeBytes }
}

async function usage(volume: ZfsVolume): Promise<Usage> {
  const own = isSnapshot(volume) ? 'used' : 'usedbydataset'
  const found = await readProperties(volume.path, isSnapshot(volume) ? [own, 'referenced'] : [own, 'referenced', 'refquota'])
  if (found === undefined) throw new HostError(`cannot read '${volume.path}': there is no such dataset`, { hint: 'zfs list' })
  const number = (name: string): number => Number(found.get(name)) || 0
  const limit = number('refquota')
  return { usedBytes: number(own), referencedBytes: number('referenced'), ...(limit === 0 ? {} : { limitBytes: limit }) }
}
