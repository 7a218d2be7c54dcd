import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkout, run } from '../helpers/program.ts'

// One import upwards, or from a sibling on the same floor, for each floor.
const FORBIDDEN = [
  ['src/lib/x.ts', '../platform/paths.ts'],
  ['src/platform/x.ts', '../runtime/spec.ts'],
  ['src/runtime/x.ts', '../storage/driver.ts'],
  ['src/storage/x.ts', '../network/driver.ts'],
  ['src/network/x.ts', '../image/cache.ts'],
  ['src/template/x.ts', '../storage/driver.ts'],
  ['src/image/x.ts', '../config/schema.ts'],
  ['src/config/x.ts', '../compile/compile.ts'],
  ['src/compile/x.ts', '../container/create.ts'],
  ['src/container/x.ts', '../cli/output.ts'],
  ['src/cli/x.ts', '../commands/ls.ts'],
] as const

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-floors-'))
  copyFileSync(join(checkout, 'biome.json'), join(dir, 'biome.json'))
})
afterAll(() => rmSync(dir, { recursive: true }))

async function lint(file: string, imported: string): Promise<string> {
  mkdirSync(dirname(join(dir, file)), { recursive: true })
  writeFileSync(join(dir, file), `import { x } from '${imported}'\n\nexport const y = x\n`)
  const { stdout, stderr } = await run([join(checkout, 'node_modules/.bin/biome'), 'lint', file], { cwd: dir })
  return stdout + stderr
}

describe('the linter', () => {
  it.each(FORBIDDEN)('%s may not import %s', async (file, imported) => {
    expect(await lint(file, imported)).toContain('lower floors only')
  })

  it('lets a lower floor be imported', async () => {
    const said = await lint('src/container/y.ts', '../lib/errors.ts')
    expect(said).toContain('Checked 1 file')
    expect(said).not.toContain('lower floors only')
  })
})
