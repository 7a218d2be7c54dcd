/** Removing a directory so that its name is free at once: renamed aside first. What a crash leaves there goes with the next removal. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDir, renameDurable } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'
import { entriesOf } from './store.ts'

const trashDir = (paths: Paths): string => join(paths.lxcpath, '.trash')

/** Absent is success. Follows no symlink, crosses no mount. */
export async function discardDir(paths: Paths, dir: string, name: string): Promise<void> {
  if (!existsSync(dir)) return
  await ensureDir(trashDir(paths))
  // The pid tells whether whoever is removing it still lives.
  const aside = join(trashDir(paths), `${process.pid}.${randomBytes(4).toString('hex')}.${name}`)
  await renameDurable(dir, aside)
  await removeTree(paths, aside)
}

/** Removes what commands that died have left. */
export async function emptyTrash(paths: Paths): Promise<void> {
  for (const entry of entriesOf(trashDir(paths))) {
    const pid = entry.split('.')[0] ?? ''
    if (pid === String(process.pid) || !existsSync(`/proc/${pid}`)) await removeTree(paths, join(trashDir(paths), entry))
  }
}
