/** Logical volumes change their names, and go. */
import { BusyError, HostError } from '../lib/errors.ts'
import { holdersOf } from './lvm-holders.ts'
import { type LvmVolume, OURS, pathOf, targetOf } from './lvm-names.ts'
import { findVolume, type LogicalVolume, readGroup } from './lvm-report.ts'
import { lvm } from './lvm-tools.ts'

/**
 * What does not carry the volume's own tag is somebody else's, and is left alone as if the volume were absent.
 * @throws BusyError with who holds it; HostError when nothing says whether it is ours
 */
export async function removeVolume(volume: LvmVolume): Promise<void> {
  const { vg, lv, tag } = volume
  const { volumes } = await readGroup(vg)
  const isOurs = (found: LogicalVolume) => tag !== undefined && found.tags.includes(tag)
  const temporary = volumes.find(({ name }) => name === `${lv}.src`)
  if (temporary !== undefined && isOurs(temporary)) await remove(vg, temporary.name)
  const found = volumes.find(({ name }) => name === lv)
  if (found === undefined) return
  if (tag === undefined) throw notKnown(volume)
  if (!isOurs(found)) return
  const snapshots = volumes.filter(({ origin, pool, name }) => origin === lv && pool === undefined && name !== temporary?.name)
  if (snapshots.length > 0) {
    const names = snapshots.map(({ name }) => `'${pathOf(vg, name)}'`).join(', ')
    throw new BusyError(`cannot remove '${volume.path}': ${names} would go with it`, { hint: `lvremove ${vg}/${snapshots[0]?.name}` })
  }
  await remove(vg, lv)
}

const notKnown = (volume: LvmVolume): HostError =>
  new HostError(`cannot remove '${volume.path}': it is not one that ${OURS} made`, { hint: `lvremove ${targetOf(volume)}` })

async function remove(vg: string, lv: string): Promise<void> {
  try {
    await lvm(['lvremove', '-qq', '-f', '-y', `${vg}/${lv}`])
  } catch (error) {
    if (!(error instanceof BusyError)) throw error
    const { text, hint } = holdersOf(pathOf(vg, lv))
    throw new BusyError(`cannot remove '${pathOf(vg, lv)}': it is in use${text}`, { hint, cause: error })
  }
}

interface Exchanged {
  readonly live: LvmVolume
  readonly aside: LvmVolume | undefined
}

/**
 * By two renames: which of them were done shows by what is there, so that a crash between them can be made up for. One that
 * a person made stays, as `NAME.old`: it is not aside, for what is aside gets removed.
 */
export async function exchangeVolumes(volume: LvmVolume, made: LvmVolume): Promise<Exchanged> {
  // Between groups names can't change.
  if (volume.vg !== made.vg) return { live: made, aside: volume.tag === undefined ? undefined : volume }
  const { vg } = volume
  const old = `${volume.lv}.old`
  const group = await readGroup(vg)
  const [there, successor] = [findVolume(group, volume.lv), findVolume(group, made.lv)]
  let aside = findVolume(group, old) !== undefined
  if (successor !== undefined) {
    if (there !== undefined && aside) throw inTheWay(vg, old)
    if (there !== undefined) await lvm(['lvrename', '-qq', vg, volume.lv, old])
    await lvm(['lvrename', '-qq', vg, made.lv, volume.lv])
    aside ||= there !== undefined
  }
  const live = { ...made, lv: volume.lv, path: volume.path }
  return { live, aside: aside && volume.tag !== undefined ? { ...volume, lv: old, path: pathOf(vg, old) } : undefined }
}

const inTheWay = (vg: string, lv: string): BusyError =>
  new BusyError(`cannot put a volume aside: '${pathOf(vg, lv)}' is in the way`, { hint: `lvrename ${vg} ${lv} ${lv}.kept` })
