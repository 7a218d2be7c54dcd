/** LVM and project quota, for which this machine's kernel may lack what is needed: one boot, in it test/vm/guest-storage.sh. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bundleHelper } from '../helpers/bundle.ts'
import { type Findings, Machine, whyNoMachine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'
import { checkout } from '../helpers/program.ts'

interface GuestTest {
  readonly fullName: string
  readonly status: string
  readonly failureMessages: readonly string[]
}

interface Account {
  readonly usedBytes: number
  readonly limitBytes?: number
  readonly entries?: number
}

/** See test/helpers/quota-child.ts. */
interface QuotaFound {
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
const machine = new Machine()
let found: Findings
let tests: readonly GuestTest[] = []

/** Bundled here: translating it there takes minutes. In a folder as deep as its sources, which look for the checkout above. */
async function bundle(): Promise<void> {
  const outdir = join(checkout, 'test-results/guest')
  mkdirSync(outdir, { recursive: true })
  for (const name of ['quota-child', 'storage-child']) await bundleHelper(`${name}.ts`, join(outdir, `${name}.mjs`))
  await build({
    entryPoints: ['conformance', 'containers', 'faults'].map((name) => join(checkout, `test/vm/guest/${name}.ts`)),
    outdir,
    outExtension: { '.js': '.test.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['vitest', 'esbuild', 'execa'],
  })
}

describe('storage in the machine', () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    await bundle()
    await machine.create('box', 'net: [{ type: empty }]\n', '-t', 'busybox')
    found = await machine.run('v2', 'guest-storage.sh', ['3G', '3G', '1G', '512M', '256M', '400M'])
    tests = ['conformance', 'containers'].flatMap((part) => {
      const report = JSON.parse(found.ok(`report ${part}`)) as { testResults: readonly { assertionResults: readonly GuestTest[] }[] }
      return report.testResults.flatMap(({ assertionResults }) => assertionResults)
    })
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => machine.remove())

  // How many there are at least: one that was not run must not pass for one that passed.
  it.each([
    ['thin ext4', 2],
    ['thin xfs', 1],
    ['thin btrfs', 1],
    ['thick ext4', 1],
    ['faults of LVM', 6],
    ['containers on thin volumes', 5],
  ])('%s', (group, atLeast) => {
    const ran = tests.filter(({ fullName, status }) => fullName.startsWith(`${group} `) && status !== 'skipped' && status !== 'pending')
    expect(
      ran.filter(({ status }) => status !== 'passed').map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('\n')}`),
    ).toEqual([])
    expect(ran.length, `${found.get('tests conformance').text}${found.get('tests containers').text}`).toBeGreaterThanOrEqual(atLeast)
  })

  it('leaves no volume behind', () => {
    expect(
      found
        .ok('left')
        .split('\n')
        .map((line) => line.trim().replace(/ +/, '/'))
        .sort(),
    ).toEqual(['lxc/lxc', 'thin/lxc'])
  })

  it.each(['ext4', 'xfs'])('limits directories on %s, each by a project of its own, and gives it back', (fstype) => {
    const seen = JSON.parse(found.ok(`quota on ${fstype}`)) as QuotaFound
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
