/** The making of copies, once it is decided what they shall be: step by step for all of them, each step on the disk before the next. */
import { randomUUID } from 'node:crypto'
import { chownSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeCompiled } from '../../compile/write.ts'
import { PermissionCheck } from '../../config/permissions.ts'
import { idmapEntry } from '../../config/scalars.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { loadAddon } from '../../platform/addon.ts'
import { removeFile, writeUnflushed } from '../../platform/files.ts'
import { withGuestIds } from '../../platform/rootfs-dir.ts'
import { syncFileSystem } from '../../platform/trees.ts'
import type { Volume } from '../../storage/driver.ts'
import { shiftVolume } from '../../storage/generic.ts'
import { volumeText } from '../../storage/index.ts'
import { dressCopy } from '../dress.ts'
import { runCloneHooks } from '../host-hooks.ts'
import { allocateManyIds, idmapLine, shiftOf } from '../ids.ts'
import type { ContainerRecord, StoreContext } from '../store.ts'
import type { Creation } from '../transaction.ts'
import type { ConfigPlan, OwnValues } from './clone-config.ts'
import { copyOwnFiles } from './copy-files.ts'
import { giveCopyAddresses, type NetworkPlan } from './copy-network.ts'
import type { CopySource } from './copy-source.ts'
import type { VolumePlan } from './copy-volume.ts'
import { makeVolumes } from './copy-volumes.ts'

/** What all copies have in common. */
export interface CopyPlan {
  readonly source: CopySource
  /** Absent: no root file system. */
  readonly volume: VolumePlan | undefined
  readonly network: NetworkPlan
  readonly config: ConfigPlan
  readonly hookWords: readonly string[]
  readonly sharing: boolean
  readonly keepName: boolean
  readonly mounts: readonly ExtraMount[]
}

/** Into the guest, besides what the source has. */
export interface ExtraMount {
  readonly type: 'bind' | 'overlay'
  /** Of the host. */
  readonly source: string
  readonly target: string
  /** mount(8)'s words. */
  readonly options: string
  readonly create: 'dir' | 'file'
}

const upperOf = (dir: string, index: number): string => join(dir, 'mounts', String(index))
const escaped = (path: string): string => path.replace(/[\\\s]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)

/** A line of fstab(5). What is changed in an overlay lies below the container's directory. */
export function mountEntry({ type, source, target, options, create }: ExtraMount, dir: string, index: number): string {
  const to = escaped(target.replace(/^\/+/, ''))
  if (type === 'bind') return `${escaped(source)} ${to} none bind,create=${create}${options === '' ? '' : `,${options}`} 0 0`
  const upper = upperOf(dir, index)
  return `overlay ${to} overlay lowerdir=${escaped(source)},upperdir=${escaped(upper)}/delta,workdir=${escaped(upper)}/work,create=dir 0 0`
}

export interface ClonedContainer {
  readonly name: string
  readonly source: string
  readonly snapshot?: string
  readonly lxcpath: string
  /** Storage driver; absent: no root file system. */
  readonly storage?: string
  /** It shares blocks with its source by its own wish. */
  readonly sharing: boolean
  /** `10.0.4.11/24` or `dhcp` of each interface that was given one. */
  readonly addresses: readonly string[]
  /** How long the running source stood still. */
  readonly frozenMs?: number
  readonly warnings: readonly string[]
}

interface Draft {
  readonly creation: Creation
  readonly own: OwnValues
}

interface Made extends Draft {
  readonly config: string
  readonly volume: Volume | undefined
}

const HOOK_CONFIG = '.config.yaml.clone'

/** Makes and commits them; the caller undoes what is not committed when this throws. */
export async function makeCopies(
  target: StoreContext,
  plan: CopyPlan,
  creations: readonly Creation[],
): Promise<readonly ClonedContainer[]> {
  const isMany = creations.length > 1
  const barrier = async (): Promise<void> => {
    if (isMany) await syncFileSystem(target.paths, target.paths.lxcpath)
  }
  for (const creation of creations) await creation.announce(await volumesOf(plan, creation))
  await barrier()
  const drafts = await draftAll(target, plan, creations)
  const { made, frozenMs } = await makeAll(target, plan, drafts)
  await barrier()
  for (const { creation, config } of made) await creation.commitPrepared(config)
  await barrier()
  const permissions = new PermissionCheck(process.geteuid?.() ?? 0)
  for (const { creation } of made) {
    await creation.finish()
    // A cache: whoever needs it next makes it again.
    await writeCompiled(target.paths, creation.container.name, { justMade: true, permissions }).catch(() => undefined)
  }
  return made.map((one) => ({ ...reportOf(target, plan, one), ...(frozenMs === undefined ? {} : { frozenMs }) }))
}

/** What each has of its own, allocated for all at once. Undone by owner. */
async function draftAll(target: StoreContext, { source, network }: CopyPlan, creations: readonly Creation[]): Promise<Draft[]> {
  const { lxcpath } = target.paths
  const names = creations.map(({ container }) => container.name)
  const owners = names.map((name) => ({ lxcpath, name }))
  const ids = source.hasOwnIds ? await allocateManyIds(target, owners) : []
  const sourceHwaddrs = new Map((source.loaded.config.net ?? []).map(({ hwaddr }, index) => [index, hwaddr ?? '']))
  const addresses = await giveCopyAddresses(target, network, names, sourceHwaddrs)
  return creations.map((creation, at) => {
    const { name, dir } = creation.container
    const range = ids[at]
    return { creation, own: { name, dir, ...addresses[at], ...(range === undefined ? {} : { idmap: `"${idmapLine(range)}"` }) } }
  })
}

interface AllMade {
  readonly made: readonly Made[]
  readonly frozenMs?: number
}

/** Volumes first, so that a running source is let go before anything else is done. */
async function makeAll(target: StoreContext, plan: CopyPlan, drafts: readonly Draft[]): Promise<AllMade> {
  const creations = drafts.map(({ creation }) => creation)
  const { volumes, ...frozen } =
    plan.volume === undefined ? { volumes: [] } : await makeVolumes(target, plan.source, plan.volume, creations)
  const made: Made[] = []
  for (const [at, draft] of drafts.entries()) made.push(await furnish(plan, draft, volumes[at]))
  return { made, ...frozen }
}

/** For the journals: one flush covers them all. */
async function volumesOf({ volume }: CopyPlan, { container }: Creation): Promise<readonly Volume[]> {
  return volume === undefined ? [] : [await volume.driver.locate(volume.at(container))]
}

/** All that a copy has besides its volume. */
async function furnish(plan: CopyPlan, { creation, own }: Draft, unshifted: Volume | undefined): Promise<Made> {
  const { context, container } = creation
  const { source } = plan
  throwIfAborted(context.signal)
  await copyOwnFiles(context, { source: source.config, volume: source.volume, named: plan.config.ownPaths }, container)
  makeUppers(plan.mounts, container.dir, own.idmap)
  const volume = unshifted === undefined ? undefined : await shiftForCopy(context, plan, unshifted, own)
  const values = volume === undefined ? own : { ...own, rootfsPath: volumeText(volume) }
  let config = plan.config.render(values)
  if (volume !== undefined) config = await dress(plan, creation, volume, config)
  await creation.prepare({ record: recordOf(context, source), volume })
  return { creation, own: values, config, volume }
}

/** Its ids are other ones than the source's. */
async function shiftForCopy({ paths, signal }: StoreContext, plan: CopyPlan, volume: Volume, own: OwnValues): Promise<Volume> {
  const idmap = own.idmap === undefined ? plan.source.loaded.config.idmap : [idmapEntry(JSON.parse(own.idmap) as string)]
  return await shiftVolume(paths, volume, shiftOf(plan.volume ?? {}, idmap), { signal })
}

/** The container's root has to own them. */
function makeUppers(mounts: readonly ExtraMount[], dir: string, idmap: string | undefined): void {
  const root = Number(/^"b 0 (\d+) /.exec(idmap ?? '')?.[1] ?? 0)
  for (const [index, { type }] of mounts.entries()) {
    if (type !== 'overlay') continue
    for (const part of ['delta', 'work']) {
      const path = join(upperOf(dir, index), part)
      mkdirSync(path, { recursive: true })
      chownSync(path, root, root)
    }
  }
}

/** The text of config.yaml, which a hook may have changed. */
async function dress(plan: CopyPlan, { context, container }: Creation, volume: Volume, config: string): Promise<string> {
  const { driver } = plan.volume ?? {}
  const { source, keepName, hookWords } = plan
  return (
    (await driver?.withMounted(volume, async (mountedAt) => {
      const root = withGuestIds(loadAddon(context.paths.installRoot).openRootfsDir(mountedAt), volume.shift)
      try {
        dressCopy(root, keepName ? undefined : container.name)
      } finally {
        root.close()
      }
      if ((source.loaded.config.hook?.clone ?? []).length === 0) return config
      const staged = join(container.dir, HOOK_CONFIG)
      writeUnflushed(staged, config)
      const { name } = container
      const call = {
        name,
        sourceName: source.container.name,
        configFile: staged,
        rootfsPath: volumeText(volume),
        mountedAt: forOthers(mountedAt),
        words: hookWords,
      }
      await runCloneHooks(context, source.loaded, call)
      const changed = readFileSync(staged, 'utf8')
      await removeFile(staged)
      return changed
    })) ?? config
  )
}

function recordOf({ paths }: StoreContext, { container, snapshot, record }: CopySource): ContainerRecord {
  const from = record ?? { version: 1, template: 'none', options: {}, guest: { network: 'none', init: 'sysv' } }
  return {
    ...from,
    version: 1,
    uuid: randomUUID(),
    createdAt: new Date().toISOString(),
    clonedFrom: {
      lxcpath: container.dir.slice(0, -container.name.length - 1) || paths.lxcpath,
      name: container.name,
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(record === undefined ? {} : { uuid: record.uuid }),
    },
  }
}

function reportOf(
  { paths }: StoreContext,
  { source, sharing, network, volume: plannedVolume }: CopyPlan,
  { creation, own, volume }: Made,
): ClonedContainer {
  return {
    name: creation.container.name,
    source: source.container.name,
    ...(source.snapshot === undefined ? {} : { snapshot: source.snapshot }),
    lxcpath: paths.lxcpath,
    ...(volume === undefined ? {} : { storage: volume.driver }),
    sharing: sharing && (plannedVolume?.warnings.length ?? 0) === 0,
    addresses: [...(own.addresses?.values() ?? [])],
    warnings: [
      ...network.warnings,
      ...(plannedVolume?.warnings ?? []),
      ...(plannedVolume?.unlimited === undefined ? [] : [plannedVolume.unlimited]),
    ],
  }
}

/** A path through our descriptors as other processes can follow it. */
const forOthers = (path: string): string => path.replace(/^\/proc\/self(?=\/)/, `/proc/${process.pid}`)
