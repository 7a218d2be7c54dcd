/** Limits of directories by project quota, which kernels may be built without: one boot, in it test/vm/guest-quota.sh. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { helperFile } from '../helpers/addon.ts'
import { whyNoMachine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'
import { checkout, runOk } from '../helpers/program.ts'

interface Account {
  readonly usedBytes: number
  readonly limitBytes?: number
  readonly entries?: number
}

interface Found {
  readonly probe: unknown
  readonly before: Account
  readonly small: string
  readonly tooBig: string
  readonly projects: readonly number[]
  readonly clone: string
  readonly below: unknown
  readonly grown: number
  readonly fits: string
  readonly after: Account
  readonly unlimited: Account
  readonly left: readonly (Account | null)[]
}

const MIB = 1 << 20
const missing = whyNoMachine()
// The machine shares the checkout, and the bundle looks for the helpers beside the sources: as deep as they are.
const bundled = join(checkout, 'test-results/guest-quota')
const found: Found[] = []

describe('project quota', () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    mkdirSync(bundled, { recursive: true })
    const child = join(bundled, 'child.mjs')
    await build({
      entryPoints: [helperFile('quota-child.ts')],
      outfile: child,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url)" },
    })
    const command = ['test/vm/run', '--disk', '256M', '--disk', '400M', '--', 'bash', 'test/vm/guest-quota.sh']
    const output = await runOk(command, { cwd: checkout, env: { CHILD: child }, timeoutMs: 900_000 })
    for (const line of output.split('\n')) if (line.startsWith('{')) found.push(JSON.parse(line) as Found)
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => rmSync(bundled, { recursive: true, force: true }))

  it.each([
    ['ext4', 0],
    ['xfs', 1],
  ] as const)('limits directories on %s, each by a project of its own, and gives it back', (_, index) => {
    const seen = found[index]
    if (seen === undefined) throw new Error('nothing was found')
    expect(seen.probe).toMatchObject({ usable: true, quota: true })
    expect(seen.before.usedBytes).toBeGreaterThanOrEqual(3 * MIB)
    expect(seen.before.limitBytes).toBe(24 * MIB)
    expect(seen.small).toBe('ok')
    expect(seen.tooBig).toMatch(/^(EDQUOT|ENOSPC)$/)
    expect(new Set(seen.projects).size).toBe(2)
    expect(seen.clone).toBe('ok')
    expect(seen.below).toMatchObject({ code: 'no-space', message: expect.stringMatching(/to 2\.00 MiB: it holds \d/) })
    expect(seen.grown).toBe(seen.projects[0])
    expect(seen.fits).toBe('ok')
    expect(seen.after).toMatchObject({ limitBytes: 64 * MIB })
    expect(seen.unlimited.limitBytes).toBeUndefined()
    for (const account of seen.left) expect(account ?? { usedBytes: 0, limitBytes: 0 }).toMatchObject({ usedBytes: 0, limitBytes: 0 })
  })
})
