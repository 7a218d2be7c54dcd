/** Another name for a stopped container, with its snapshots. */
import { rmSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import { throwIfAborted } from '../../lib/abort.ts'
import { ExistsError, StateError, UsageError } from '../../lib/errors.ts'
import { checkName } from '../../lib/names.ts'
import { ensureDir, removeFile, renameDurable, writeJson } from '../../platform/files.ts'
import { containerDir } from '../../platform/paths.ts'
import type { Volume } from '../../storage/driver.ts'
import { volumeText } from '../../storage/index.ts'
import { requireNotMounted } from '../disk/mounted.ts'
import { settle } from '../settle.ts'
import { snapshotDir, snapshotNames } from '../snapshot/snapshot-store.ts'
import {
  alreadyExists,
  type Container,
  containerExists,
  containerOf,
  findContainer,
  isBare,
  lockContainer,
  readVolumeIn,
  type StoreContext,
  stateOf,
} from '../store.ts'
import { sweepCrashed } from '../sweep.ts'
import { movedPaths, planConfig } from './clone-config.ts'
import {
  finishRename,
  finishRenames,
  journalFile,
  type NewFiles,
  RENAME_VERSION,
  type RenameJournal,
  renamingDir,
} from './rename-journal.ts'

export interface RenamedContainer {
  readonly name: string
  readonly from: string
}

/** @throws NotFoundError · ExistsError with LXC's phrase · StateError when it runs · BusyError */
export async function renameContainer(
  context: StoreContext,
  from: string,
  to: string,
  options: { readonly keepName: boolean },
): Promise<RenamedContainer> {
  const { paths } = context
  checkName(to)
  if (from === to) throw new UsageError(`cannot rename '${from}': it has this name`)
  const container = await findContainer(paths, from, 'rename')
  if (containerExists(paths, to)) throw alreadyExists(to)
  const locks: { release(): void }[] = []
  try {
    for (const name of [from, to].sort()) locks.push(await lockContainer(context, name))
    await finishRenames(context, [from, to])
    await findContainer(paths, from, 'rename')
    await requireFree(context, to)
    await requireStopped(context, container)
    await settle(context, container)
    await requireNotMounted(container, 'rename', 'all')
    throwIfAborted(context.signal)
    const journal = await journalOf(context, container, to, options)
    await ensureDir(renamingDir(context))
    await writeJson(journalFile(context, to), journal)
    await renameDurable(container.dir, containerDir(paths, to)).catch(async (error: unknown) => {
      await removeFile(journalFile(context, to))
      throw error
    })
    await finishRename(context, journal)
    return { name: to, from }
  } finally {
    for (const lock of locks.reverse()) lock.release()
  }
}

async function requireFree(context: StoreContext, to: string): Promise<void> {
  const { paths } = context
  if (containerExists(paths, to)) throw alreadyExists(to)
  const target = containerOf(paths, to)
  await sweepCrashed(context, target)
  if (!isBare(target.dir)) {
    throw new ExistsError(`cannot create '${to}': '${target.dir}' holds files and no config.yaml`, { hint: `move '${target.dir}' away` })
  }
  // rename(2) takes the place of an empty directory, not of one with temporary files.
  rmSync(target.dir, { recursive: true, force: true })
}

async function requireStopped({ paths }: StoreContext, { name }: Container): Promise<void> {
  const { state, crashed } = stateOf(paths, name)
  if (state === 'STOPPED' && !crashed) return
  throw new StateError('running', `cannot rename '${name}': it is running`, { hint: `tslxc stop ${name}` })
}

async function journalOf(
  context: StoreContext,
  container: Container,
  to: string,
  options: { readonly keepName: boolean },
): Promise<RenameJournal> {
  const dirs = ['', ...snapshotNames(container).map((snapshot) => snapshotDir(container, snapshot).slice(container.dir.length + 1))]
  const files: NewFiles[] = []
  for (const dir of dirs) files.push(await newFiles(context, { container, dir, to }, options))
  const { ino } = statSync(container.dir, { bigint: true })
  return { version: RENAME_VERSION, command: context.command, from: container.name, to, inode: String(ino), files }
}

interface Moving {
  readonly container: Container
  readonly dir: string
  readonly to: string
}

async function newFiles({ paths }: StoreContext, { container, dir, to }: Moving, { keepName }: { keepName: boolean }): Promise<NewFiles> {
  const file = join(container.dir, dir, 'config.yaml')
  const text = await readFile(file, 'utf8')
  const { config } = loadConfig(container.configFile, { confDirs: paths.confDirs, text })
  const target = { name: to, dir: containerDir(paths, to) }
  const before = await readVolumeIn(join(container.dir, dir))
  const volume = before === undefined ? undefined : (movedValue(before, container, target) as Volume)
  const written = config.rootfs?.path
  const isOurs = volume !== undefined && before !== undefined && written !== undefined && volumeText(before) === volumeText(written)
  // A host name that somebody chose stays.
  const hostname = !keepName && (config.uts?.name ?? container.name) === container.name
  const plan = planConfig(
    { name: container.name, dir: container.dir, file, text },
    { hostname, rootfs: isOurs, idmap: false, hwaddrs: [], addresses: [], ephemeral: false },
  )
  return { dir, config: plan.render({ ...target, ...(isOurs ? { rootfsPath: volumeText(volume) } : {}) }), volume }
}

/** A record with its paths below the old directory as paths below the new one. */
function movedValue(value: unknown, from: Container, to: Pick<Container, 'name' | 'dir'>): unknown {
  if (typeof value === 'string') return movedPaths(value, from, to)
  if (Array.isArray(value)) return value.map((item) => movedValue(item, from, to))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, movedValue(item, from, to)]))
}
