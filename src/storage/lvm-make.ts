/** Making logical volumes: empty ones, thin clones, and full copies. */
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError, HostError, NotFoundError } from '../lib/errors.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'
import { copyTree, syncFileSystem } from '../platform/trees.ts'
import { fstypeOf, makeFilesystem, renewUuid } from './block-fs.ts'
import type { CloneOptions, MakeOptions, MountedOptions, VolumeRef } from './driver.ts'
import { removeVolume } from './lvm-change.ts'
import { groupOf, type LvmVolume, OURS, pathOf, targetOf } from './lvm-names.ts'
import { explainingFullPool, poolOf, requireRoom } from './lvm-pool.ts'
import { findVolume, readGroup, type VolumeGroup } from './lvm-report.ts'
import { lvm } from './lvm-tools.ts'

export interface LvmMaker {
  readonly paths: Pick<Paths, 'installRoot'>
  create(at: VolumeRef, options?: MakeOptions): Promise<LvmVolume>
  clone(from: LvmVolume, to: VolumeRef, options?: CloneOptions): Promise<LvmVolume>
  snapshot(of: LvmVolume, as: VolumeRef, options?: MakeOptions): Promise<LvmVolume>
  withMounted<T>(volume: LvmVolume, use: (root: string) => Promise<T>, options?: MountedOptions): Promise<T>
}

type Locate = (at: VolumeRef, group: VolumeGroup) => LvmVolume

/** `-kn`: a snapshot is otherwise skipped when the host activates its volumes at boot. */
const QUIETLY = ['-qq', '--yes', '-kn'] as const
/** Blocks that the origin may change while a thick one is copied. */
const COPY_RESERVE = 0.25

export function makeLvmMaker(paths: Pick<Paths, 'installRoot'>, locate: Locate): LvmMaker {
  const withMounted: LvmMaker['withMounted'] = async (volume, use, { readOnly = false } = {}) => {
    const mounted = () => withDetachedMount(paths, { kind: 'block', device: volume.path, type: volume.fstype }, use, { readOnly })
    return readOnly ? await mounted() : await explainingFullPool(volume, mounted)
  }
  const create: LvmMaker['create'] = async (at, { signal } = {}) => {
    throwIfAborted(signal)
    const group = await readGroup(groupOf(at))
    const volume = locate(at, group)
    requireFree(group, volume)
    return await orRemoved(volume, async () => {
      await createEmpty(group, volume)
      await explainingFullPool(volume, () => makeFilesystem(paths, volume.path, volume.fstype, signal))
      throwIfAborted(signal)
      return volume
    })
  }
  const clone: LvmMaker['clone'] = async (source, to, { signal, shift = 0 } = {}) => {
    throwIfAborted(signal)
    const from = await completed(source)
    const group = await readGroup(groupOf(to))
    const located = { ...locate(to, group), fstype: to.pool.fstype ?? from.fstype }
    requireFree(group, located)
    if (shift === 0 && sharesBlocks(from, located)) return await cloneThin(paths, { group, from, to: located })
    const sizeBytes = Math.max(located.sizeBytes, to.pool.sizeBytes === undefined ? await sizeOf(from) : 0)
    return await copy(from, { ...to, pool: { ...to.pool, fstype: located.fstype, sizeBytes } }, { signal, shift })
  }
  /** A running source stands still as a snapshot of LVM's, for as long as it is copied. */
  const copy = async (from: LvmVolume, to: VolumeRef, options: CloneOptions): Promise<LvmVolume> => {
    const volume = await create(to, options)
    return await orRemoved(volume, () =>
      withMoment(paths, { from, beside: volume }, (moment) =>
        withMounted(moment, (source) => withMounted(volume, (target) => copyTree(paths, source, target, options)), { readOnly: true }).then(
          () => volume,
        ),
      ),
    )
  }
  const snapshot: LvmMaker['snapshot'] = async (source, as, options = {}) => {
    throwIfAborted(options.signal)
    const of = await completed(source)
    const at = { ...as, pool: { ...as.pool, vg: of.vg, thinPool: of.thinPool, fstype: of.fstype } }
    const volume = await clone(of, at, options)
    return await orRemoved(volume, async () => {
      await lvm(['lvchange', '-qq', '-pr', targetOf(volume)])
      return volume
    })
  }
  return { paths, create, clone, snapshot, withMounted }
}

const sharesBlocks = (from: LvmVolume, to: LvmVolume): boolean =>
  from.thinPool !== undefined && from.vg === to.vg && from.thinPool === to.thinPool && from.fstype === to.fstype

interface ThinClone {
  readonly group: VolumeGroup
  readonly from: LvmVolume
  readonly to: LvmVolume
}

async function cloneThin(paths: Pick<Paths, 'installRoot'>, { group, from, to }: ThinClone): Promise<LvmVolume> {
  const source = findVolume(group, from.lv)
  if (source === undefined) throw noVolume(from)
  requireRoom(group, poolOf(group, from.thinPool), 0)
  const volume = { ...to, sizeBytes: source.sizeBytes }
  return await orRemoved(volume, async () => {
    if (!source.readOnly) await writeOut(paths, from)
    await lvm(['lvcreate', ...QUIETLY, '-s', '-prw', '-n', volume.lv, ...tagsOf(volume), targetOf(from)])
    await explainingFullPool(volume, () => renewUuid(paths, volume.path, volume.fstype))
    return volume
  })
}

/** The kernel freezes the others when LVM takes a snapshot, with all that is in memory written out; not btrfs. */
async function writeOut(paths: Pick<Paths, 'installRoot'>, { path, fstype }: LvmVolume): Promise<void> {
  if (fstype !== 'btrfs') return
  await withDetachedMount(paths, { kind: 'block', device: path, type: fstype }, (root) => syncFileSystem(paths, root))
}

async function createEmpty(group: VolumeGroup, volume: LvmVolume): Promise<void> {
  const { vg, lv, thinPool, sizeBytes } = volume
  requireRoom(group, thinPool === undefined ? undefined : poolOf(group, thinPool), sizeBytes)
  const size = thinPool === undefined ? ['-Wy', '-L', `${sizeBytes}b`, vg] : ['-V', `${sizeBytes}b`, '-T', `${vg}/${thinPool}`]
  await lvm(['lvcreate', ...QUIETLY, '-n', lv, ...tagsOf(volume), ...size])
}

const tagsOf = ({ tag }: LvmVolume): string[] => ['--addtag', OURS, ...(tag === undefined ? [] : ['--addtag', tag])]

/** A copy of the source as it is now, for a while; thin ones share blocks, a thick one keeps what the source overwrites. */
async function withMoment<T>(
  paths: Pick<Paths, 'installRoot'>,
  { from, beside }: { readonly from: LvmVolume; readonly beside: LvmVolume },
  use: (moment: LvmVolume) => Promise<T>,
): Promise<T> {
  const group = await readGroup(from.vg)
  const source = findVolume(group, from.lv)
  if (source === undefined) throw noVolume(from)
  if (source.readOnly) return await use(from)
  const moment = { ...beside, vg: from.vg, lv: `${beside.lv}.src`, path: pathOf(from.vg, `${beside.lv}.src`), fstype: from.fstype }
  const { thinPool: _, ...thick } = moment
  const isThin = source.pool !== undefined
  const reserve = Math.ceil((source.sizeBytes * COPY_RESERVE) / group.extentBytes) * group.extentBytes
  requireRoom(group, isThin ? poolOf(group, source.pool) : undefined, reserve)
  try {
    await writeOut(paths, from)
    await lvm(['lvcreate', ...QUIETLY, '-s', '-n', moment.lv, ...tagsOf(moment), ...(isThin ? [] : ['-L', `${reserve}b`]), targetOf(from)])
    // ext4 does not mind two of one UUID.
    if (from.fstype !== 'ext4') await renewUuid(paths, moment.path, from.fstype)
    return await use(moment)
  } finally {
    await removeVolume(isThin ? { ...moment, thinPool: source.pool ?? '' } : thick)
  }
}

function requireFree(group: VolumeGroup, { lv, path }: LvmVolume): void {
  if (findVolume(group, lv) === undefined) return
  throw new ExistsError(`cannot create '${path}': it already exists`, { hint: `lvs -o +lv_tags,lv_time ${group.name}/${lv}` })
}

/** With what a path that a person wrote does not say. */
async function completed(volume: LvmVolume): Promise<LvmVolume> {
  if (volume.fstype !== 'auto') return volume
  const found = findVolume(await readGroup(volume.vg), volume.lv)
  if (found === undefined) throw noVolume(volume)
  const fstype = await fstypeOf(volume.path)
  if (fstype === undefined) {
    throw new HostError(`cannot use '${volume.path}': it holds no file system of ext4, xfs or btrfs`, { hint: `blkid ${volume.path}` })
  }
  return { ...volume, fstype, sizeBytes: found.sizeBytes, ...(found.pool === undefined ? {} : { thinPool: found.pool }) }
}

const noVolume = ({ path }: LvmVolume): NotFoundError =>
  new NotFoundError(`cannot use '${path}': there is no such logical volume`, { hint: 'lvs' })

async function sizeOf(volume: LvmVolume): Promise<number> {
  const found = findVolume(await readGroup(volume.vg), volume.lv)
  if (found === undefined) throw noVolume(volume)
  return found.sizeBytes
}

/** @throws what `make` throws, once nothing is left of the volume */
async function orRemoved(volume: LvmVolume, make: () => Promise<LvmVolume>): Promise<LvmVolume> {
  try {
    return await make()
  } catch (error) {
    await removeVolume(volume)
    throw error
  }
}
