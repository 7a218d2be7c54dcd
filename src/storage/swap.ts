/** The exchange of volumes that are entries of a directory. */
import { existsSync } from 'node:fs'
import { ExistsError } from '../lib/errors.ts'
import { renameDurable } from '../platform/files.ts'
import type { Volume } from './driver.ts'

/**
 * By two renames: which of them were done shows by what is there, so that a crash between them can be made up for by
 * calling it again with the same two. What was in the place of `volume`, if anything.
 */
export async function swapPaths<V extends Volume>(volume: V, made: V): Promise<V | undefined> {
  const aside = `${volume.path}.old`
  if (existsSync(made.path)) {
    if (existsSync(volume.path)) {
      // Of an exchange that nobody cleaned up after: what is in the place now would be lost.
      if (existsSync(aside)) throw new ExistsError(`cannot put '${volume.path}' aside: there is '${aside}' already`)
      await renameDurable(volume.path, aside)
    }
    await renameDurable(made.path, volume.path)
  }
  return existsSync(aside) ? { ...volume, path: aside } : undefined
}
