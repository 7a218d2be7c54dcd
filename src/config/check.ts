/** A parsed file against a schema: the first thing wrong, with its place. */
import type * as z from 'zod/mini'
import { ConfigError } from '../lib/errors.ts'
import { dataOf, type Path, placeOf, placeOfKey, type YamlFile } from './document.ts'
import { judgeUnknownKey } from './known-keys.ts'

/** @throws ConfigError for what comes first in the file. */
export function checkFile<S extends z.core.$ZodType>(
  source: YamlFile,
  schema: S & { safeParse: SafeParse<S> },
  keys?: readonly string[],
): z.output<S> {
  const parsed = schema.safeParse(dataOf(source))
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.flatMap((issue) => errorsOf(source, issue, keys))
  const [first] = errors.sort(byPlace)
  throw first ?? new ConfigError('the file is not understood', { file: source.file })
}

type SafeParse<S> = (data: unknown) => { success: true; data: z.output<S> } | { success: false; error: { issues: z.core.$ZodIssue[] } }

function byPlace(a: ConfigError, b: ConfigError): number {
  return (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0)
}

function errorsOf(source: YamlFile, issue: z.core.$ZodIssue, keys?: readonly string[]): ConfigError[] {
  const path = issue.path as Path
  const name = path.join('.')
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const { reason, hint } = judgeUnknownKey([...path, key].join('.'), keys)
      return new ConfigError(reason, placeOfKey(source, [...path, key]), hint === undefined ? {} : { hint })
    })
  if (issue.code === 'invalid_type') {
    const wanted = issue.expected === 'array' ? 'a list' : 'a map of keys'
    return [new ConfigError(`${name}: ${wanted} is expected`, placeOf(source, path))]
  }
  const { atKey, hint } = (issue.code === 'custom' ? issue.params : undefined) ?? {}
  const place = atKey === true ? placeOfKey(source, path) : placeOf(source, path)
  return [new ConfigError(`${labelOf(path)}: ${issue.message}`, place, typeof hint === 'string' ? { hint } : {})]
}

// The number of an item says little where the line is shown.
const labelOf = (path: Path): string => path.filter((part, index) => typeof part === 'string' || path[index - 1] === 'net').join('.')
