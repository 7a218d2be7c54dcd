/** OpenZFS, which the test machine's kernel lacks: one boot, in it test/vm/guest-zfs.sh. `npm run test:zfs` */
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

const missing = whyNoMachine()
const machine = new Machine()
let found: Findings
let tests: readonly GuestTest[] = []

async function bundle(): Promise<void> {
  const outdir = join(checkout, 'test-results/guest')
  mkdirSync(outdir, { recursive: true })
  await bundleHelper('storage-child.ts', join(outdir, 'storage-child.mjs'))
  await build({
    entryPoints: [join(checkout, 'test/vm/guest/zfs.ts')],
    outfile: join(outdir, 'zfs.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['vitest', 'esbuild', 'execa'],
  })
}

describe('OpenZFS in the machine', () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    await bundle()
    await machine.create('box', 'net: [{ type: empty }]\n', '-t', 'busybox')
    found = await machine.run('v2', 'guest-zfs.sh', ['2G'], ['--zfs'])
    const report = JSON.parse(found.ok('report')) as { testResults: readonly { assertionResults: readonly GuestTest[] }[] }
    tests = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => machine.remove())

  it.each([
    ['OpenZFS', 22],
    ['containers on OpenZFS', 3],
  ])('%s', (group, atLeast) => {
    const ran = tests.filter(({ fullName, status }) => fullName.startsWith(`${group} `) && status !== 'skipped' && status !== 'pending')
    const failed = ran.filter(({ status }) => status !== 'passed')
    expect(failed.map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('\n')}`)).toEqual([])
    expect(ran.length, found.get('tests').text).toBeGreaterThanOrEqual(atLeast)
  })

  it('leaves no dataset behind', () => {
    expect(found.ok('left').split('\n')).toEqual(['tank', 'tank/lxc'])
  })
})
