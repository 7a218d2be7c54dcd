/** Work on many containers in one go: a failing one does not hold up the others. */
import type { StoreContext } from './store.ts'

/** They wait for the disk more than for a processor. */
const AT_ONCE = 4

export interface Outcome<T> {
  readonly name: string
  readonly result?: T
  readonly error?: unknown
}

/** In the order of the names. */
export async function forMany<T>(
  context: StoreContext,
  names: readonly string[],
  action: (name: string) => Promise<T>,
): Promise<readonly Outcome<T>[]> {
  const { default: pLimit } = await import('p-limit')
  return await pLimit(AT_ONCE).map(names, async (name) => {
    try {
      context.signal?.throwIfAborted()
      return { name, result: await action(name) }
    } catch (error) {
      return { name, error }
    }
  })
}
