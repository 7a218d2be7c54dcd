/** Which containers a word or a pattern means. */
import { NotFoundError } from '../lib/errors.ts'
import { nameProblem } from '../lib/names.ts'
import type { Paths } from '../platform/paths.ts'
import { findContainer, listContainers } from './store.ts'

export interface Selection {
  /** A name, or a pattern: `web*`, `db[0-9]`, `{web,db}`. */
  readonly name?: string | undefined
  readonly all: boolean
}

export const isPattern = (word: string): boolean => /[*?[\]{}]/.test(word)

/**
 * Sorted names. `verb` is for the message.
 * @throws NotFoundError when nothing fits, except for all of none
 */
export async function selectContainers(paths: Paths, { name, all }: Selection, verb: string): Promise<readonly string[]> {
  if (all || name === undefined) return listContainers(paths).map((container) => container.name)
  if (nameProblem(name) === undefined || !isPattern(name)) return [(await findContainer(paths, name, verb)).name]
  const { default: picomatch } = await import('picomatch')
  const fits = picomatch(name)
  const found = listContainers(paths).filter((container) => fits(container.name))
  if (found.length > 0) return found.map((container) => container.name)
  throw new NotFoundError(`cannot ${verb} '${name}': no container has such a name`, {
    hint: `'tslxc ls' shows what there is in ${paths.lxcpath}`,
  })
}
