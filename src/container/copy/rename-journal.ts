/**
 * The rename of a container's directory is the commit point of its renaming. Before it stands a journal in
 * <lxcpath>/.renaming, with what the records shall say; the directory's inode tells whether the commit was reached. What a
 * crash leaves, `finishRenames` goes on with, or takes back, before the next command touches either name.
 */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { moveLeases } from '../../network/leases.ts'
import { readJson, removeFile, renameDurable, writeDurable, writeJson } from '../../platform/files.ts'
import { containerDir, type Paths, runDir } from '../../platform/paths.ts'
import { removeTree } from '../../platform/trees.ts'
import type { Volume } from '../../storage/driver.ts'
import { moveIds } from '../ids.ts'
import { containerOf, entriesOf, lockContainer, type StoreContext, volumeFile, volumeRecord } from '../store.ts'
import { moveOwnFiles } from './copy-files.ts'

export const RENAME_VERSION = 1

/** What one directory (the container's, a snapshot's) shall hold. Relative to the container's directory. */
export interface NewFiles {
  readonly dir: string
  readonly config: string
  readonly volume?: Volume | undefined
}

export interface RenameJournal {
  readonly version: typeof RENAME_VERSION
  readonly command: string
  readonly from: string
  readonly to: string
  /** Of the directory. */
  readonly inode: string
  readonly files: readonly NewFiles[]
}

export const renamingDir = ({ paths }: StoreContext): string => join(paths.lxcpath, '.renaming')
export const journalFile = (context: StoreContext, to: string): string => join(renamingDir(context), `${to}.json`)

/** From the commit to the end; done twice it does nothing more. */
async function goOn(context: StoreContext, journal: RenameJournal): Promise<void> {
  const { paths } = context
  const from = containerOf(paths, journal.from)
  const to = containerOf(paths, journal.to)
  for (const { dir, config, volume } of journal.files) {
    if (volume !== undefined) await writeJson(volumeFile(join(to.dir, dir)), volumeRecord(volume))
    await writeDurable(join(to.dir, dir, 'config.yaml'), config)
  }
  moveOwnFiles(from, to)
  const log = join(to.dir, `${from.name}.log`)
  if (existsSync(log)) await renameDurable(log, join(to.dir, `${to.name}.log`))
  await moveIds(context, ownerAt(paths, from.name), ownerAt(paths, to.name))
  await moveLeases(paths, ownerAt(paths, from.name), ownerAt(paths, to.name), context.command)
  await removeTree(paths, runDir(paths, from.name))
  await removeFile(journalFile(context, to.name))
}

/**
 * Makes up for crashes of `renameContainer`. `held` are the names whose locks the caller has; a rename whose other name
 * somebody else works on is waited for.
 */
export async function finishRenames(context: StoreContext, held: readonly string[]): Promise<void> {
  for (const entry of entriesOf(renamingDir(context))) {
    if (!entry.endsWith('.json') || entry.startsWith('.')) continue
    const journal = await readJson<RenameJournal>(join(renamingDir(context), entry), RENAME_VERSION)
    // Other names are left to who comes for them.
    if (journal === undefined || !(held.includes(journal.from) || held.includes(journal.to))) continue
    const locks: { release(): void }[] = []
    try {
      for (const name of [journal.from, journal.to]) if (!held.includes(name)) locks.push(await lockContainer(context, name))
      await finishRename(context, journal)
    } finally {
      for (const lock of locks) lock.release()
    }
  }
}

/** Under the locks of both names. */
export async function finishRename(context: StoreContext, journal: RenameJournal): Promise<void> {
  // It may have been finished while its lock was waited for.
  if (!existsSync(journalFile(context, journal.to))) return
  const status = statSync(containerDir(context.paths, journal.to), { bigint: true, throwIfNoEntry: false })
  if (String(status?.ino) === journal.inode) await goOn(context, journal)
  else await removeFile(journalFile(context, journal.to))
}

/** Cheap: whether there is any journal at all. */
export const hasBrokenRename = (context: StoreContext): boolean => entriesOf(renamingDir(context)).length > 0

const ownerAt = ({ lxcpath }: Paths, name: string) => ({ lxcpath, name })
