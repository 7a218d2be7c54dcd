/** Who would break without a container: clones that its store keeps on its blocks, or on those of its snapshots. */
import { readFile } from 'node:fs/promises'
import { StateError, TslxcError } from '../../lib/errors.ts'
import { writeDurable, writeJson } from '../../platform/files.ts'
import { copyVolume } from '../../storage/generic.ts'
import { driverOf, poolOf, volumeText } from '../../storage/index.ts'
import { replaceVolume } from '../pending.ts'
import { lockExisting } from '../settle.ts'
import { snapshotNames, snapshotVolumes } from '../snapshot/snapshot-store.ts'
import { type Container, containerOf, readVolume, type StoreContext, stateOf, volumeFile, volumeRecord } from '../store.ts'
import { listVolumes, type OwnedVolume, requireVolume } from '../volume-records.ts'

/** `web` of `web@snap0`. */
const containerName = (owner: string): string => owner.split('@')[0] ?? owner
const isImage = (owner: string): boolean => owner.startsWith('image ')

/** Owners in order: containers, `web@snap0`, `image 0123456789ab`. Those of the container itself are left out. */
export async function dependentsOf(
  { paths }: StoreContext,
  container: Container,
  known?: readonly OwnedVolume[],
): Promise<readonly string[]> {
  const live = await readVolume(container)
  const own = [...(live === undefined ? [] : [live]), ...(await snapshotVolumes(container))]
  // All volumes below the lxcpath are read only for who may need them.
  const dependable = own.filter((volume) => driverOf(paths, volume).independent !== true)
  if (dependable.length === 0) return []
  const others = (known ?? (await listVolumes(paths))).filter(({ owner }) => containerName(owner) !== container.name)
  const found = new Set<string>()
  for (const volume of dependable) {
    const driver = driverOf(paths, volume)
    const candidates = others.filter((other) => other.volume.driver === volume.driver)
    if (candidates.length === 0) continue
    const broken = await driver.dependents(
      volume,
      candidates.map((other) => other.volume),
    )
    const texts = new Set(broken.map(volumeText))
    for (const { owner, volume: other } of candidates) if (texts.has(volumeText(other))) found.add(owner)
  }
  return [...found].sort()
}

/** LXC's phrases: scripts look for them. @throws TslxcError `state` that names them all */
export async function requireNoDependents(
  context: StoreContext,
  container: Container,
  options: { readonly snapshots: boolean },
): Promise<void> {
  const { name } = container
  const clones = await dependentsOf(context, container)
  const snapshots = options.snapshots ? [] : snapshotNames(container).sort()
  const reasons = [
    ...(clones.length === 0 ? [] : [`${name} has clones (${clones.join(', ')})`]),
    ...(snapshots.length === 0 ? [] : [`${name} has snapshots (${snapshots.join(', ')})`]),
  ]
  if (reasons.length === 0) return
  const flatten = clones.length === 0 ? '' : `, or tslxc destroy --flatten ${name} to keep what was cloned from it`
  throw new TslxcError('state', `Destroying ${name} failed: ${reasons.join('; ')}`, { hint: `tslxc destroy -s ${name}${flatten}` })
}

/**
 * The containers that go when these go, dependents first.
 * @throws TslxcError `state` when an image of the store depends on one of them
 */
export async function withDependents(context: StoreContext, names: readonly string[]): Promise<readonly string[]> {
  const known = await listVolumes(context.paths)
  const ordered: string[] = []
  const visit = async (name: string): Promise<void> => {
    if (ordered.includes(name)) return
    for (const owner of await dependentsOf(context, containerOf(context.paths, name), known)) {
      if (isImage(owner))
        throw new TslxcError('state', `Destroying ${name} failed: ${name} has clones (${owner})`, { hint: 'tslxc image ls' })
      if (!ordered.includes(containerName(owner))) await visit(containerName(owner))
    }
    ordered.push(name)
  }
  for (const name of names) await visit(name)
  return ordered
}

/** Before anything is removed: none of those that go along runs. */
export function requireStoppedAll({ paths }: StoreContext, root: string, names: readonly string[]): void {
  const running = names.filter((name) => stateOf(paths, name).state !== 'STOPPED')
  if (running.length === 0) return
  throw new StateError('running', `Destroying ${root} failed: ${running.join(', ')} ${running.length === 1 ? 'is' : 'are'} running`, {
    hint: `tslxc destroy -f -s ${root}`,
  })
}

/** Makes everything that was cloned from a container independent of it. @throws StateError for a running one that has to be copied */
export async function flattenDependents(context: StoreContext, container: Container): Promise<readonly string[]> {
  const owners = await dependentsOf(context, container)
  const names = [...new Set(owners.map(containerName))]
  for (const name of names) {
    context.onStep?.({ text: `making '${name}' independent` })
    await flatten(context, name)
  }
  return names
}

async function flatten(context: StoreContext, name: string): Promise<void> {
  using held = await lockExisting(context, name, 'flatten')
  const { container } = held
  const volume = await requireVolume(context.paths, container, 'flatten')
  const driver = driverOf(context.paths, volume)
  if (driver.promote !== undefined) {
    const made = await driver.promote(volume)
    if (JSON.stringify(made) === JSON.stringify(volume)) return
    await writeJson(volumeFile(container.dir), volumeRecord(made))
    if (volumeText(made) === volumeText(volume)) return
    const { setKey } = await import('../../config/edit.ts')
    const text = await readFile(container.configFile, 'utf8')
    await writeDurable(container.configFile, setKey(container.configFile, text, 'rootfs.path', volumeText(made)))
    return
  }
  if (stateOf(context.paths, name).state !== 'STOPPED') {
    throw new StateError('running', `cannot flatten '${name}': it is running`, { hint: `tslxc stop ${name}` })
  }
  const { paths, signal } = context
  await replaceVolume(context, container, {
    old: volume,
    driver,
    pool: poolOf(volume),
    make: (at) => copyVolume(paths, volume, { driver, at }, { signal }),
  })
}
