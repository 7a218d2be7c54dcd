import { expect, it } from 'vitest'
import { describeKeys } from '../../../src/config/describe.ts'
import { containerSchema } from '../../../src/config/schema.ts'

interface Definition {
  readonly type: string
  readonly innerType?: Node
  readonly out?: Node
  readonly element?: Node
  readonly catchall?: Node
  readonly shape?: Readonly<Record<string, Node>>
}
type Node = { readonly def: Definition }

/** Dotted keys of a schema's leaves. */
function keysOf({ def }: Node, path: string): string[] {
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`)
  if (def.innerType !== undefined) return keysOf(def.innerType, path)
  if (def.type === 'pipe' && def.out !== undefined) return keysOf(def.out, path)
  if (def.element !== undefined) return keysOf(def.element, at('N'))
  if (def.shape === undefined) return [path]
  const named = def.catchall !== undefined && def.catchall.def.type !== 'never' ? [at('NAME')] : []
  return [...Object.entries(def.shape).flatMap(([key, below]) => keysOf(below, key === 'value' ? path : at(key))), ...named]
}

it('describes exactly the keys of the schema', () => {
  const described = describeKeys().map(({ key }) => key)
  expect([...described].sort()).toEqual([...new Set(keysOf(containerSchema as unknown as Node, ''))].sort())
})

it('says of each what it means', () => {
  for (const { key, type, text } of describeKeys()) {
    expect(type, key).not.toBe('')
    expect(text, key).toMatch(/^[A-Z0-9`].*[.]$|^[a-z].*\.$/)
  }
})
