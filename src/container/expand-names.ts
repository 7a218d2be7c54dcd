/** Many names in few words: `web{1..100}` and `{a,b}`, as a shell expands them, for words that were quoted. */
import { expand } from 'brace-expansion'
import { UsageError } from '../lib/errors.ts'
import { checkName } from '../lib/names.ts'

const MOST_NAMES = 10_000

/** In the order in which they are written. @throws UsageError for a bad name, one that comes twice, or too many */
export function expandNames(words: readonly string[]): string[] {
  const names = words.flatMap((word) => (word.includes('{') ? expand(word, { max: MOST_NAMES + 1 }) : [word]))
  if (names.length > MOST_NAMES) throw new UsageError(`cannot make more than ${MOST_NAMES} containers at once`)
  const seen = new Set<string>()
  for (const name of names) {
    checkName(name)
    if (seen.has(name)) throw new UsageError(`cannot make '${name}' twice`)
    seen.add(name)
  }
  return names
}
