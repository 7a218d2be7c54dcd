/** Changes of single keys in the text of config.yaml. All the rest stays byte for byte: comments, order, spacing. */
import { type Document, isMap, isScalar, isSeq, type Node, type Pair, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml'
import { UsageError } from '../lib/errors.ts'
import { splitKey } from './definitions.ts'
import { type Path, parseYaml, type YamlFile } from './document.ts'

/** The text with `key` set to a YAML value.
 *  @throws ConfigError for a broken file · UsageError for a broken value or a path that leads through a value */
export function setKey(file: string, text: string, key: string, value: string): string {
  const source = parseYaml(file, text)
  const wanted = parseValue(value)
  const path = realPath(source.document, splitKey(key), key)
  const { parent, rest } = deepest(source.document, path)
  const above = path.slice(0, path.length - rest.length)
  const goal = changed(source, (document) => {
    if (rest.length > 0 && above.length > 0 && !isCollection(parent)) document.setIn([...above], document.createNode(asMap(parent)))
    document.setIn([...path], document.createNode(wanted))
  })
  for (const written of spellings(value, wanted)) {
    const result =
      rest.length === 0
        ? replaceValue(source, path, written)
        : above.length > 0 && !isCollection(parent)
          ? replaceValue(source, above, wrap(asMap(parent), rest, written))
          : insert(source, parent, rest, written)
    if (result !== undefined && sameData(file, result, goal)) return result
  }
  return goal.toString({ lineWidth: 0 })
}

/** The text without `key`, and without maps that become empty by that; undefined when it is not there. */
export function unsetKey(file: string, text: string, key: string): string | undefined {
  const source = parseYaml(file, text)
  const path = [...realPath(source.document, splitKey(key), key)]
  if (!source.document.hasIn(path)) return undefined
  while (path.length > 1 && isLoneKey(source.document.getIn(path.slice(0, -1), true))) path.pop()
  const goal = changed(source, (document) => {
    document.deleteIn(path)
  })
  const result = cut(source, path)
  return result !== undefined && sameData(file, result, goal) ? result : goal.toString({ lineWidth: 0 })
}

/** The node of a key in one file; undefined when the file does not say it. */
export function findKey(document: Document, key: string): Node | undefined {
  return document.getIn([...realPath(document, splitKey(key), key)], true) as Node | undefined
}

function parseValue(value: string): unknown {
  const document = parseDocument(value)
  const [problem] = document.errors
  if (problem !== undefined)
    throw new UsageError(`cannot read the value '${value}': ${problem.message.split('\n')[0]}`, { hint: 'put it in quotes' })
  return value.trim() === '' ? '' : (document.toJS() as unknown)
}

/** As it was typed where that works, else as JSON, which is YAML too. */
function spellings(value: string, wanted: unknown): readonly string[] {
  const typed = value.trim()
  return typed === '' || typed.includes('\n') ? [JSON.stringify(wanted)] : [typed, JSON.stringify(wanted)]
}

/** Numbers of items as numbers, and a key that is written as a single value where it has others beside it as `value`. */
function realPath(document: Document, parts: readonly string[], key: string): Path {
  const path: (string | number)[] = []
  let node: unknown = document.contents
  for (const part of parts) {
    if (isSeq(node)) {
      const index = Number(part)
      if (!/^\d+$/.test(part) || index > node.items.length)
        throw new UsageError(`cannot find '${key}': '${part}' is no item of a list of ${node.items.length}`, {
          hint: `use a number up to ${node.items.length}`,
        })
      path.push(index)
      node = node.items[index]
    } else if (isMap(node) && path.at(-1) === 'net' && /^\d+$/.test(part)) {
      // One map may stand for the list of it.
      if (part !== '0') throw new UsageError(`cannot find '${key}': 'net' is a single map`, { hint: 'write it as a list' })
    } else {
      path.push(/^\d+$/.test(part) && path.at(-1) === 'net' ? Number(part) : part)
      node = isMap(node) ? node.get(part, true) : undefined
    }
  }
  return path
}

function deepest(document: Document, path: Path): { parent: unknown; rest: Path } {
  let parent: unknown = document.contents
  for (const [index, part] of path.entries()) {
    const next = isMap(parent) ? parent.get(part, true) : isSeq(parent) ? parent.items[Number(part)] : undefined
    if (next === undefined) return { parent, rest: path.slice(index) }
    parent = next
  }
  return { parent, rest: [] }
}

function changed({ document }: YamlFile, change: (copy: Document) => void): Document {
  const copy = document.clone() as Document
  if (copy.contents === null) copy.contents = copy.createNode({}) as never
  try {
    change(copy)
  } catch (cause) {
    throw new UsageError(`cannot set it: ${cause instanceof Error ? cause.message : cause}`, { hint: "use 'tslxc config edit'", cause })
  }
  return copy
}

function sameData(file: string, text: string, goal: Document): boolean {
  try {
    return JSON.stringify(parseYaml(file, text).document.toJS()) === JSON.stringify(goal.toJS())
  } catch {
    return false
  }
}

const isCollection = (node: unknown): boolean => isMap(node) || isSeq(node)

/** What stands for the key itself when keys come below it: `autodev: 1` is `autodev: {value: 1}`. */
function asMap(node: unknown): Record<string, unknown> {
  return isScalar(node) && node.value !== null && node.value !== '' ? { value: node.value } : {}
}

function wrap(map: Record<string, unknown>, rest: Path, written: string): string {
  const [first = '', ...more] = rest
  const said = Object.entries(map).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  return `{ ${[...said, `${keyText(first)}: ${nested(more, written)}`].join(', ')} }`
}

const isLoneKey = (node: unknown): boolean => isMap(node) && node.items.length === 1

function replaceValue({ document, text }: YamlFile, path: Path, written: string): string | undefined {
  const node = document.getIn([...path], true) as Node | undefined
  const range = node?.range
  if (!range) return undefined
  if (range[0] !== range[1]) return text.slice(0, range[0]) + written + text.slice(range[1])
  // An empty value has no text of its own: the new one goes right behind the colon, before a comment.
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const key = isMap(parent)
    ? parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(path.at(-1)))?.key
    : undefined
  const colon = text.indexOf(':', (key as Node | undefined)?.range?.[1] ?? range[0])
  return colon < 0 ? undefined : `${text.slice(0, colon + 1)} ${written}${text.slice(colon + 1)}`
}

function insert(source: YamlFile, parent: unknown, rest: Path, written: string): string | undefined {
  const { text } = source
  const content = rest.length === 1 ? written : nested(rest.slice(1), written)
  const line = (indent: string): string => `${indent}${typeof rest[0] === 'number' ? '- ' : `${keyText(rest[0] ?? '')}: `}${content}\n`
  if (parent === null || (isScalar(parent) && parent.value === null && source.document.contents === parent))
    return withNewline(text) + line('')
  if (!isMap(parent) && !isSeq(parent)) return undefined
  if (parent.flow) return intoFlow(text, parent, `${typeof rest[0] === 'number' ? '' : `${keyText(rest[0] ?? '')}: `}${content}`)
  const start = firstOffset(parent)
  if (start === undefined) return undefined
  const end = lineAfter(text, parent)
  return withNewline(text.slice(0, end)) + line(indentAt(text, start)) + text.slice(end)
}

function nested(rest: Path, written: string): string {
  return rest.reduceRight<string>((inner, part) => (typeof part === 'number' ? `[${inner}]` : `{ ${keyText(part)}: ${inner} }`), written)
}

const keyText = (key: string | number): string => (/^[\w.-]+$/.test(String(key)) ? String(key) : JSON.stringify(key))

function intoFlow(text: string, parent: YAMLMap | YAMLSeq, item: string): string | undefined {
  const range = parent.range
  if (!range) return undefined
  const close = range[1] - 1
  const before = text.slice(0, close).trimEnd()
  const space = text.slice(before.length, close)
  const comma = parent.items.length === 0 || before.endsWith(',') ? '' : ','
  const gap = parent.items.length === 0 && space === '' && isMap(parent) ? ' ' : ''
  return `${before}${comma}${before.endsWith('[') ? '' : ' '}${item}${space || gap}${text.slice(close)}`
}

/** Where a block collection's first key or dash stands. */
function firstOffset(parent: YAMLMap | YAMLSeq): number | undefined {
  return parent.range?.[0]
}

/** Behind the last line of a block collection, comments after it left out. */
function lineAfter(text: string, parent: YAMLMap | YAMLSeq): number {
  const last = parent.items.at(-1)
  const node = (isMap(parent) ? ((last as Pair).value ?? (last as Pair).key) : last) as Node | null
  const end = node === null ? (parent.range?.[1] ?? text.length) : endOf(node)
  const newline = text.indexOf('\n', Math.max(end - 1, 0))
  return newline < 0 ? text.length : newline + 1
}

/** The end of a node's own text: a block collection's range goes on to what follows it. */
function endOf(node: Node): number {
  if ((isMap(node) || isSeq(node)) && !node.flow && node.items.length > 0) {
    const last = node.items.at(-1)
    const below = (isMap(node) ? ((last as Pair).value ?? (last as Pair).key) : last) as Node | null
    if (below !== null && below !== undefined) return endOf(below)
  }
  return node.range?.[1] ?? 0
}

const indentAt = (text: string, offset: number): string => ' '.repeat(offset - (text.lastIndexOf('\n', offset - 1) + 1))
const withNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

/** Takes the whole lines of a key of a block map, or a part of a flow collection. */
function cut({ document, text }: YamlFile, path: Path): string | undefined {
  const parent = (path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)) as YAMLMap | YAMLSeq | null
  const index = isMap(parent)
    ? parent.items.findIndex((pair) => isScalar(pair.key) && String(pair.key.value) === String(path.at(-1)))
    : Number(path.at(-1))
  const item = parent?.items[index] as Pair | Node | undefined
  if (!parent || item === undefined) return undefined
  const [first, last] = isMap(parent)
    ? [(item as Pair).key as Node, ((item as Pair).value ?? (item as Pair).key) as Node]
    : [item as Node, item as Node]
  if (!first.range) return undefined
  if (parent.flow) return cutFlow(text, first.range[0], endOf(last))
  return cutLines(text, first.range[0], endOf(last), isMap(parent) ? /^\s*$/ : /^\s*-\s+$/)
}

function cutFlow(text: string, start: number, end: number): string {
  const after = /^\s*,\s*/.exec(text.slice(end))?.[0]
  if (after !== undefined) return text.slice(0, start) + text.slice(end + after.length)
  return text.slice(0, start).replace(/\s*,\s*$/, '') + text.slice(end)
}

/** `margin` is what must stand before it in its line: the first key of an item shares it with the dash. */
function cutLines(text: string, start: number, end: number, margin: RegExp): string | undefined {
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  if (!margin.test(text.slice(lineStart, start))) return undefined
  const newline = text.indexOf('\n', Math.max(end - 1, start))
  return text.slice(0, lineStart) + (newline < 0 ? '' : text.slice(newline + 1))
}
