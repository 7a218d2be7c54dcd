/** Names of containers. The same rule as `check_name` of native/spec/paths.hpp. */
import { UsageError } from './errors.ts'

const MAX_NAME_LENGTH = 63
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/

/** Why a name can't be a container's, or undefined when it can. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (name.length > MAX_NAME_LENGTH) return `it is longer than ${MAX_NAME_LENGTH} characters`
  if (/^[.-]/.test(name)) return `it starts with '${name[0]}'`
  if (!NAME.test(name)) return 'only letters, digits, dot, underscore and dash are allowed'
  return undefined
}

/** @throws UsageError */
export function checkName(name: string): void {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new UsageError(`cannot use the name '${name}': ${problem}`)
}
