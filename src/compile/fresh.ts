/** What a container was compiled to, for those who need a few of its words: reading it is much cheaper than its configuration. */
import { join } from 'node:path'
import { containerDir, type Paths } from '../platform/paths.ts'
import type { Spec } from '../runtime/spec.ts'
import { readBuildId, readFresh } from './stamps.ts'

/** Undefined when anything that it was compiled from is another now. */
export function freshSpec(paths: Paths, name: string): Spec | undefined {
  const build = readBuildId(paths.installRoot)
  return build === '' ? undefined : (readFresh(join(containerDir(paths, name), 'spec.json'), build) as Spec | undefined)
}

/** A key's values in the effective configuration, as they are written. */
export const valuesOf = ({ keys }: Spec, key: string): readonly string[] =>
  keys.flatMap(([name, value]) => (name === `lxc.${key}` ? [value] : []))
