/** LVM, and project quota of xfs, for which this machine's kernel may lack what is needed: one boot, in it test/vm/guest-storage.sh. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Findings, Machine, whyNoMachine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'
import { checkout } from '../helpers/program.ts'

interface GuestTest {
  readonly fullName: string
  readonly status: string
  readonly failureMessages: readonly string[]
}

const missing = whyNoMachine()
const machine = new Machine()
let found: Findings
let tests: readonly GuestTest[] = []

/** Bundled here: translating it there takes minutes. In a folder as deep as its sources, which look for the checkout above. */
async function bundle(): Promise<void> {
  const outdir = join(checkout, 'test-results/guest')
  mkdirSync(outdir, { recursive: true })
  await build({
    entryPoints: [join(checkout, 'test/vm/guest/storage.ts')],
    outfile: join(outdir, 'storage.mjs'),
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
    found = await machine.run('v2', 'guest-storage.sh', ['3G', '1G', '512M'])
    const report = JSON.parse(found.ok('report')) as { testResults: readonly { assertionResults: readonly GuestTest[] }[] }
    tests = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => machine.remove())

  // How many there are at least: one that was not run must not pass for one that passed.
  it.each([
    ['thin ext4', 7],
    ['thin xfs', 2],
    ['thin btrfs', 2],
    ['thick ext4', 2],
    ['dir on xfs', 1],
    ['faults of LVM', 6],
    ['a container on a thin volume', 3],
  ])('%s', (group, atLeast) => {
    const ran = tests.filter(({ fullName, status }) => fullName.startsWith(`${group} `) && status !== 'skipped' && status !== 'pending')
    expect(
      ran.filter(({ status }) => status !== 'passed').map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('\n')}`),
    ).toEqual([])
    expect(ran.length, found.get('tests').text).toBeGreaterThanOrEqual(atLeast)
  })

  it('leaves no volume behind', () => {
    expect(
      found
        .ok('left')
        .split('\n')
        .map((line) => line.trim().replace(/ +/, '/')),
    ).toEqual(['lxc/lxc'])
  })
})
