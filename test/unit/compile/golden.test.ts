// Config in, spec out. A change of a golden file is a change for every container: look at it. `vitest -u` writes them.
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { compileSpec } from '../../../src/compile/compile.ts'
import { gather } from '../../../src/compile/gather.ts'
import { makePaths } from '../../../src/platform/paths.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')
const installRoot = join(golden, '../../../..')
const paths = makePaths({ root: join(golden, 'host'), installRoot, lxcpath: golden })
const cases = readdirSync(golden).filter((name) => name !== 'host')

describe.each(cases)('%s', (name) => {
  const compile = (): string => {
    const gathered = gather(paths, name)
    const spec = compileSpec({ ...gathered, stamps: [], build: 'test', hasSeccompFilter: gathered.seccomp !== undefined })
    return `${JSON.stringify(spec, null, 2)}\n`.replaceAll(golden, '/golden').replaceAll(installRoot, '/install')
  }

  it('compiles to its spec', async () => {
    await expect(compile()).toMatchFileSnapshot(join(golden, name, 'spec.json'))
  })

  it('compiles to the same twice', () => {
    expect(compile()).toBe(compile())
  })
})
