/**
 * Streams of `zfs send`. What is received is never live itself: the dataset that holds the snapshots stays as it was sent, so
 * that the next one fits, and the container runs from a clone.
 */
import { HostError } from '../lib/errors.ts'
import type { VolumeStream } from './driver.ts'
import { datasetOf, HOLDER, hasModule, readProperties, snapshotNameOf, snapshotsOf, type ZfsVolume, zfs, zfsIfThere } from './zfs-tools.ts'

/** LXC's. */
const DEFAULT_ROOT = 'lxc'

export const zfsStream: VolumeStream<ZfsVolume> = {
  onlyKept: true,
  async obstacle(of, base) {
    if (base === undefined || datasetOf(base.path) === datasetOf(of.path)) return undefined
    return `'${of.path}' does not follow '${base.path}': something was restored between them`
  },
  async identity({ path }) {
    return (await readProperties(path, ['guid']))?.get('guid') ?? ''
  },
  sender: ({ path }, base) => ['zfs', 'send', ...(base === undefined ? [] : ['-i', base.path]), path],
  async receiver(as, base) {
    const label = as.label.split('@', 1)[0] ?? as.label
    const dataset = base === undefined ? `${as.pool.zfsRoot ?? DEFAULT_ROOT}/${label}.received` : datasetOf(base.path)
    // Of one that was killed before it could say what it is.
    const snapshots = base === undefined ? await snapshotsOf(dataset) : undefined
    if (snapshots?.length === 0) await zfsIfThere(['destroy', dataset], { verb: 'receive', object: dataset })
    const path = `${dataset}@${snapshotNameOf(as.label)}`
    return { argv: ['zfs', 'receive', '-u', path], made: { driver: 'zfs', path, ...(hasModule() ? {} : { fuse: true }) } }
  },
  async received({ path }) {
    const dataset = datasetOf(path)
    const doing = { verb: 'receive', object: path }
    if ((await readProperties(path, ['guid'])) === undefined)
      throw new HostError(`cannot receive '${path}': the stream made no such snapshot`)
    for (const property of [`${HOLDER}=on`, 'canmount=noauto', 'mountpoint=none']) await zfs(['set', property, dataset], doing)
  },
}
