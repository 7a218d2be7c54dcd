/** Merging checked files: later wins, lists append, an empty value takes back what came before. */

import type { ConfigPlace } from '../lib/errors.ts'
import { Items, Value } from '../lib/fields.ts'
import { type Path, placeOf, textOf, type YamlFile } from './document.ts'

interface Said {
  /** In the merged tree. */
  readonly at: Path
  readonly source: YamlFile
  /** In that file. */
  readonly path: Path
  readonly leaf: boolean
}

type Tree = Record<string, unknown>

/** Which file said what, by dotted path of the merged tree. Places are made on demand. */
export class Origins {
  readonly #places = new Map<string, Said>()

  /** `leaf`: one value, not a map or list of them. */
  set(path: Path, said: Said): void {
    this.#places.set(path.join('.'), said)
  }

  /** All single values as they are written: path in the merged tree, text. In the order in which they were first said. */
  *written(): Generator<readonly [path: Path, text: string]> {
    for (const { at, leaf, source, path } of this.#places.values()) if (leaf) yield [at, textOf(source, path)]
  }

  forget(path: Path): void {
    const name = path.join('.')
    for (const key of [...this.#places.keys()]) if (key === name || key.startsWith(`${name}.`)) this.#places.delete(key)
  }

  /** The place of a path, else of its nearest parent that was said somewhere. */
  find(path: Path): ConfigPlace | undefined {
    for (let length = path.length; length > 0; length--) {
      const found = this.#places.get(path.slice(0, length).join('.'))
      if (found !== undefined) return placeOf(found.source, [...found.path, ...path.slice(length)])
    }
    return undefined
  }

  fileOf(path: Path): string | undefined {
    return this.find(path)?.file
  }
}

/** Merges one checked file into the tree. */
export function mergeFile(tree: Tree, checked: Tree, source: YamlFile, origins: Origins): void {
  mergeGroup(tree, checked, [], { source, origins })
}

interface Context {
  readonly source: YamlFile
  readonly origins: Origins
}

function mergeGroup(target: Tree, group: Tree, path: Path, context: Context): void {
  for (const [key, said] of Object.entries(group)) {
    if (said === undefined) continue
    const at = [...path, key]
    if (said === null) {
      delete target[key]
      context.origins.forget(at)
    } else if (said instanceof Value) {
      target[key] = said.value
      context.origins.set(at, { at, source: context.source, path: at, leaf: true })
    } else if (said instanceof Items) {
      target[key] = appendItems(target[key], said, at, context)
    } else if (Array.isArray(said)) {
      target[key] = mergeNumbered(target[key], said, at, context)
    } else {
      const below = (target[key] as Tree | undefined) ?? {}
      target[key] = below
      context.origins.set(at, { at, source: context.source, path: at, leaf: false })
      mergeGroup(below, said as Tree, at, context)
    }
  }
}

function appendItems(present: unknown, said: Items<unknown>, at: Path, { source, origins }: Context): unknown[] {
  let list = Array.isArray(present) ? [...(present as unknown[])] : []
  origins.set(at, { at, source, path: at, leaf: false })
  said.items.forEach((item, index) => {
    if (item === null) {
      list = []
      origins.forget(at)
      origins.set(at, { at, source, path: at, leaf: false })
      return
    }
    const place = [...at, list.length]
    origins.set(place, { at: place, source, path: [...at, index], leaf: true })
    list.push(item)
  })
  return list
}

function mergeNumbered(present: unknown, said: readonly unknown[], at: Path, context: Context): Tree[] {
  const list = Array.isArray(present) && said.length > 0 ? [...(present as Tree[])] : []
  context.origins.set(at, { at, source: context.source, path: at, leaf: false })
  said.forEach((item, index) => {
    const below = list[index] ?? {}
    list[index] = below
    if (item === null || item === undefined) return
    context.origins.set([...at, index], { at: [...at, index], source: context.source, path: [...at, index], leaf: false })
    mergeGroup(below, item as Tree, [...at, index], context)
  })
  return list
}
