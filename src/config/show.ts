/** The effective configuration, as all files together say it. */
import type { Path } from './document.ts'
import type { LoadedConfig } from './loaded.ts'

/** Nested plain data, values as they are written. Lists are lists, also where one value was written. */
export function effectiveTree({ origins }: LoadedConfig): Record<string, unknown> {
  const tree: Record<string, unknown> = {}
  for (const [path, text] of origins.written()) if (path[0] !== 'include') put(tree, path, text)
  return tree
}

function put(tree: Record<string, unknown>, path: Path, text: string): void {
  let node: Record<string | number, unknown> = tree
  path.forEach((part, index) => {
    const next = path[index + 1]
    if (next === undefined) node[part] = String(Number(text)) === text ? Number(text) : text.startsWith('{"') ? JSON.parse(text) : text
    else {
      node[part] ??= typeof next === 'number' ? [] : {}
      node = node[part] as Record<string | number, unknown>
    }
  })
}

export interface OriginLine {
  readonly key: string
  readonly value: string
  readonly file: string
  readonly line?: number
}

/** Each value and where it was said. */
export function originLines({ origins }: LoadedConfig): readonly OriginLine[] {
  return [...origins.written()].flatMap(([path, value]) => {
    if (path[0] === 'include') return []
    const place = origins.find(path)
    return [{ key: path.join('.'), value, file: place?.file ?? '', ...(place?.line === undefined ? {} : { line: place.line }) }]
  })
}
