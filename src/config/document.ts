/** A YAML file with the place of each value. */
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { ConfigError, type ConfigPlace, type ErrorOptions } from '../lib/errors.ts'

export interface YamlFile {
  readonly file: string
  readonly text: string
  readonly document: Document
  readonly lines: LineCounter
}

export type Path = readonly (string | number)[]

/** @throws ConfigError with line and column when it is no YAML, or no map. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' })
  const source = { file, text, document, lines }
  const problem = document.errors[0] ?? document.warnings[0]
  if (problem !== undefined) throw new ConfigError(lowerFirst(problem.message), placeAt(source, problem.pos[0]))
  if (document.contents !== null && !isMap(document.contents) && !isNull(document.contents))
    throw new ConfigError('a map of keys is expected', placeAt(source, 0))
  return source
}

/** Plain data; an empty file is an empty map. */
export function dataOf(source: YamlFile): Record<string, unknown> {
  return (source.document.toJS({ maxAliasCount: 100 }) as Record<string, unknown> | null) ?? {}
}

/** Where the value of a path stands, else its nearest parent that is there. */
export function placeOf(source: YamlFile, path: Path): ConfigPlace {
  return placeAt(source, locate(source.document.contents, path).value)
}

/** Where the last key of a path is written. */
export function placeOfKey(source: YamlFile, path: Path): ConfigPlace {
  const { key, value } = locate(source.document.contents, path)
  return placeAt(source, key ?? value)
}

export function errorAt(source: YamlFile, path: Path, reason: string, options: ErrorOptions = {}): ConfigError {
  return new ConfigError(reason, placeOf(source, path), options)
}

/** A single value as it is written, quotes aside. */
export function textOf(source: YamlFile, path: Path): string {
  const { node } = locate(source.document.contents, path)
  // An item of a list that is a map of its own.
  if (isMap(node)) return JSON.stringify(node)
  if (!isScalar(node) || node.value === null) return ''
  return typeof node.value === 'boolean' ? (node.value ? '1' : '0') : (node.source ?? String(node.value))
}

interface Found {
  readonly node: unknown
  /** Offsets in the text. */
  readonly value: number
  readonly key?: number
}

function locate(top: unknown, path: Path): Found {
  let node = top
  let found: Found = { node, value: offsetOf(node) ?? 0 }
  for (const part of path) {
    // What is written as a single value stands for the map that holds it as `value`.
    if (part === 'value' && !isMap(node)) continue
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part))
      // A map may stand for a list of one: the number of its item is written nowhere.
      if (pair === undefined && typeof part === 'number') continue
      if (pair === undefined) return found
      const key = offsetOf(pair.key)
      node = pair.value
      found = { node, value: offsetOf(node) ?? key ?? found.value, ...(key === undefined ? {} : { key }) }
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      found = { node, value: offsetOf(node) ?? found.value }
    } else return found
  }
  return found
}

function offsetOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0]
}

function isNull(node: unknown): boolean {
  return isScalar(node) && node.value === null
}

function placeAt({ file, text, lines }: YamlFile, offset: number): ConfigPlace {
  // What is missing at the end is shown behind the last thing written.
  const { line, col } = lines.linePos(Math.min(offset, text.trimEnd().length))
  const content = (text.split('\n')[line - 1] ?? '').replace(/\r$/, '')
  // Tabs stay tabs, so that the caret stands below its character.
  const margin = content.slice(0, col - 1).replace(/[^\t]/g, ' ')
  return { file, line, column: col, excerpt: `${content}\n${margin}^` }
}

function lowerFirst(message: string): string {
  const text = message.replace(/\s*\n[\s\S]*$/, '').replace(/\.$/, '')
  return text.charAt(0).toLowerCase() + text.slice(1)
}
