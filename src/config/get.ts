/** One key as it is written. Loads the YAML parser, and the schema only when the container's own file does not say it. */
import { readFileSync } from 'node:fs'
import { isScalar } from 'yaml'
import { NotFoundError, UsageError } from '../lib/errors.ts'
import { parseYaml } from './document.ts'
import { findKey } from './edit.ts'

/** Plain data of the container's own file, else of all files together.
 *  @throws NotFoundError when no file says it · UsageError for an unknown key */
export async function getKey(file: string, key: string, confDirs: readonly string[]): Promise<unknown> {
  const source = parseYaml(file, readFileSync(file, 'utf8'))
  const name = key.replace(/^lxc\./, '')
  const node = findKey(source.document, name)
  // Numbers and sizes as they were typed.
  if (isScalar(node) && node.value !== null) return typeof node.value === 'number' ? (node.source ?? node.value) : node.value
  if (node !== undefined && !isScalar(node)) return node.toJS(source.document)
  return getMerged(file, name, confDirs)
}

async function getMerged(file: string, key: string, confDirs: readonly string[]): Promise<unknown> {
  const { loadConfig } = await import('./load.ts')
  const { effectiveTree } = await import('./show.ts')
  const { splitKey } = await import('./definitions.ts')
  let value: unknown = effectiveTree(loadConfig(file, { confDirs }))
  for (const part of splitKey(key))
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined
  if (value !== undefined) return value
  const { isKnownKey, judgeUnknownKey } = await import('./known-keys.ts')
  if (isKnownKey(key)) throw new NotFoundError(`'${key}' is not set in '${file}'`)
  const { reason, hint } = judgeUnknownKey(key)
  throw new UsageError(reason, hint === undefined ? {} : { hint })
}
