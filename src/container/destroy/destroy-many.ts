/** Destroying several containers, and what depends on them. */
import { TslxcError } from '../../lib/errors.ts'
import { isPattern, selectContainers } from '../select.ts'
import { containerExists, containerOf, type StoreContext } from '../store.ts'
import { flattenDependents, requireStoppedAll, withDependents } from './dependents.ts'
import { type DestroyOptions, type DestroyReport, destroyContainer } from './destroy.ts'
import { destroyInStep } from './destroy-in-step.ts'

export interface DestroyManyOptions extends DestroyOptions {
  /** What was cloned from them is made independent first. */
  readonly flatten: boolean
}

export interface DestroyManyReport {
  readonly destroyed: readonly DestroyReport[]
  /** Made independent of what was destroyed. */
  readonly flattened: readonly string[]
}

/**
 * Names and patterns, in their order; with `snapshots`, what was cloned from them goes first. Every one is tried.
 * @throws the error of the only one that failed; TslxcError with all of them
 */
export async function destroyContainers(
  context: StoreContext,
  words: readonly string[],
  options: DestroyManyOptions,
): Promise<DestroyManyReport> {
  const names = await namesOf(context, words)
  const all = options.snapshots && !options.flatten ? await everything(context, names, options) : names
  const destroyed: DestroyReport[] = []
  const flattened: string[] = []
  const errors: unknown[] = []
  const inStep = all.length > 1 && !options.flatten ? await destroyInStep(context, all, options) : undefined
  for (const name of all) {
    try {
      const outcome = inStep?.get(name)
      if (outcome?.error !== undefined) throw outcome.error
      if (outcome?.result !== undefined) {
        destroyed.push(outcome.result)
        continue
      }
      const container = containerOf(context.paths, name)
      if (options.flatten && containerExists(context.paths, name)) flattened.push(...(await flattenDependents(context, container)))
      destroyed.push(await destroyContainer(context, name, options))
    } catch (error) {
      if (context.signal?.aborted) throw error
      errors.push(error)
    }
  }
  if (errors.length > 0) throw asOne(errors)
  return { destroyed, flattened }
}

async function namesOf({ paths }: StoreContext, words: readonly string[]): Promise<readonly string[]> {
  const names: string[] = []
  // A plain name may be that of a half-destroyed one, which no listing shows.
  for (const word of words) names.push(...(isPattern(word) ? await selectContainers(paths, { name: word, all: false }, 'destroy') : [word]))
  return [...new Set(names)]
}

async function everything(context: StoreContext, names: readonly string[], { force }: DestroyOptions): Promise<readonly string[]> {
  const existing = names.filter((name) => containerExists(context.paths, name))
  const ordered = await withDependents(context, existing)
  const more = ordered.filter((name) => !names.includes(name))
  if (!force) requireStoppedAll(context, names.join(', '), more)
  return [...ordered, ...names.filter((name) => !existing.includes(name))]
}

function asOne(errors: readonly unknown[]): unknown {
  const [first] = errors
  if (errors.length === 1) return first
  const text = errors.map((error) => (error instanceof Error ? error.message : String(error))).join('\n')
  return new TslxcError(first instanceof TslxcError ? first.code : 'internal', text, { cause: first })
}
