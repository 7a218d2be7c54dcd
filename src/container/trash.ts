/**
 * Removing trees so that their names are free at once: renamed aside into `<lxcpath>/.trash`, which no listing shows, and
 * deleted by a process of its own after this one has ended. What a crash leaves there, the next command has deleted.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { HostError, TslxcError } from '../lib/errors.ts'
import { loadAddon } from '../platform/addon.ts'
import { spawnBehind } from '../platform/exec.ts'
import { ensureDir, renameDurable, writeUnflushed } from '../platform/files.ts'
import { mountPoints } from '../platform/mount-table.ts'
import { lockFile, type Paths } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import { nativeProgram } from '../runtime/native-program.ts'
import type { Volume } from '../storage/driver.ts'
import { driverOf } from '../storage/index.ts'

/** A file that names a tree elsewhere. */
const ELSEWHERE = '.elsewhere'

const trashDir = (paths: Paths): string => join(paths.lxcpath, '.trash')
// No name of a container: those don't begin with a dot.
const trashLock = (paths: Paths): string => lockFile(paths, '.trash')

/** Absent is success. Follows no symlink, crosses no mount. */
export async function discardDir(paths: Paths, dir: string, name: string): Promise<void> {
  const aside = join(trashDir(paths), `${randomBytes(6).toString('hex')}.${name}`)
  try {
    if (existsSync(dir)) {
      requireNothingMounted(dir)
      await ensureDir(trashDir(paths))
      await renameDurable(dir, aside)
    }
  } catch (error) {
    // A full disk must not keep it.
    if (error instanceof TslxcError && error.code === 'no-space' && existsSync(dir)) return await removeTree(paths, dir)
    throw error
  }
  deleteAtExit(paths)
}

/** The same for those of many owners, without a flush: what says that they go outlives a power cut. By name, what failed. */
export async function discardDirs(
  paths: Paths,
  owners: readonly { readonly dir: string; readonly name: string }[],
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  const points = mountPoints()
  await ensureDir(trashDir(paths))
  for (const { dir, name } of owners) {
    try {
      requireNothingMounted(dir, points)
      renameSync(dir, join(trashDir(paths), `${randomBytes(6).toString('hex')}.${name}`))
    } catch {
      await discardDir(paths, dir, name).catch((error: unknown) => failures.set(name, error))
    }
  }
  deleteAtExit(paths)
  return failures
}

/** A volume of the owner of `dir`, whose directory is discarded next: a tree inside it goes with that. */
export async function discardVolume(paths: Paths, volume: Volume, owner: { readonly dir: string; readonly name: string }): Promise<void> {
  const driver = driverOf(paths, volume)
  if (driver.letGo === undefined) return await driver.destroy(volume)
  const tree = await driver.letGo(volume)
  if (!tree.startsWith(`${owner.dir}/`)) await discardTree(paths, tree, owner.name)
}

/** A root file system outside of the container's directory, perhaps on another file system. */
async function discardTree(paths: Paths, tree: string, name: string): Promise<void> {
  // Always the same: done again after a crash, it is found.
  const aside = join(dirname(tree), `.${basename(tree)}.removed`)
  if (existsSync(tree)) {
    requireNothingMounted(tree)
    if (existsSync(aside)) await removeTree(paths, aside)
    await renameDurable(tree, aside)
  }
  if (!existsSync(aside)) return
  await ensureDir(trashDir(paths))
  writeUnflushed(join(trashDir(paths), `${randomBytes(6).toString('hex')}.${name}${ELSEWHERE}`), aside)
  deleteAtExit(paths)
}

/** A mount would go along with a rename, out of the sight of whoever has to take it away. @throws HostError */
function requireNothingMounted(tree: string, points: readonly string[] = mountPoints()): void {
  for (const point of points) {
    if (point !== tree && !point.startsWith(`${tree}/`)) continue
    throw new HostError(`cannot remove '${point}': something is mounted there`, { hint: `umount '${point}'` })
  }
}

/** Has deleted what commands that died have left. */
export function sweepTrash(paths: Paths): void {
  if (entriesIn(trashDir(paths)).length > 0) deleteAtExit(paths)
}

/**
 * Deletes it now; when somebody does already, they go on.
 * @throws the error of the first that can't be deleted, after every one was tried
 */
export async function emptyTrash(paths: Paths): Promise<void> {
  const errors = new Map<string, unknown>()
  for (;;) {
    const entries = entriesIn(trashDir(paths)).filter((entry) => !errors.has(entry))
    if (entries.length === 0) break
    const lock = loadAddon(paths.installRoot).tryLock(trashLock(paths), 'tslxc empty-trash', false)
    if (!('release' in lock)) break
    try {
      for (const entry of entries) await deleteEntry(paths, entry).catch((error: unknown) => errors.set(entry, error))
    } finally {
      lock.release()
    }
    // What came while we held the lock was left to us by others.
  }
  for (const error of errors.values()) throw error
}

async function deleteEntry(paths: Paths, entry: string): Promise<void> {
  const path = join(trashDir(paths), entry)
  if (entry.endsWith(ELSEWHERE) && lstatSync(path).isFile()) {
    await removeTree(paths, readFileSync(path, 'utf8'))
    rmSync(path)
  } else await removeTree(paths, path)
}

const due = new Map<string, Paths>()

/** Once, however many were discarded: also by an undo, or when a signal ends us. */
function deleteAtExit(paths: Paths): void {
  if (due.size === 0) process.once('exit', deleteBehind)
  due.set(paths.lxcpath, paths)
}

function deleteBehind(): void {
  for (const paths of due.values()) {
    if (entriesIn(trashDir(paths)).length === 0) continue
    spawnBehind([nativeProgram(paths), 'empty-trash', '-P', paths.lxcpath], { TSLXC_ROOT: paths.root })
  }
}

function entriesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((entry) => !entry.endsWith('.tmp'))
  } catch {
    return []
  }
}
