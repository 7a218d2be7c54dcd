/** Removing a directory so that its name is free at once: renamed aside first. What a crash leaves there goes with the next removal. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { TslxcError } from '../lib/errors.ts'
import { ensureDir, renameDurable } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import { entriesOf } from './store.ts'

const trashDir = (paths: Paths): string => join(paths.lxcpath, '.trash')

/** Absent is success. Follows no symlink, crosses no mount. */
export async function discardDir(paths: Paths, dir: string, name: string): Promise<void> {
  if (!existsSync(dir)) return
  await removeTree(paths, await moveAside(paths, dir, name))
}

/** Where the directory is now: a full disk must not keep it, so it may stay where it was. */
async function moveAside(paths: Paths, dir: string, name: string): Promise<string> {
  // The pid tells whether whoever is removing it still lives.
  const aside = join(trashDir(paths), `${process.pid}.${randomBytes(4).toString('hex')}.${name}`)
  try {
    await ensureDir(trashDir(paths))
    await renameDurable(dir, aside)
    return aside
  } catch (error) {
    if (error instanceof TslxcError && error.code === 'no-space' && existsSync(dir)) return dir
    throw error
  }
}

/** Removes what commands that died have left. */
export async function emptyTrash(paths: Paths): Promise<void> {
  for (const entry of entriesOf(trashDir(paths))) {
    const pid = entry.split('.')[0] ?? ''
    if (pid === String(process.pid) || !existsSync(`/proc/${pid}`)) await removeTree(paths, join(trashDir(paths), entry))
  }
}
