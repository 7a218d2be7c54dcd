import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { explainFailure } from '../../../src/image/bootstrap-failure.ts'
import { CommandError, type TslxcError } from '../../../src/lib/errors.ts'

const dir = mkdtempSync(join(tmpdir(), 'tslxc-failure-'))
afterAll(() => rmSync(dir, { recursive: true }))
afterEach(() => rmSync(join(dir, 'log'), { force: true }))

async function explain(log: string): Promise<TslxcError> {
  const logFile = join(dir, 'log')
  writeFileSync(logFile, log)
  const failed = new CommandError('x', { argv: ['mmdebstrap'], status: 1, stderr: '' })
  const where = { tool: 'mmdebstrap', about: 'debian trixie amd64', mirror: 'http://m/debian', logFile }
  return (await explainFailure(failed, where)) as TslxcError
}

describe('a failed bootstrap', () => {
  it('shows the last lines and where the log is', async () => {
    const error = await explain(`# mmdebstrap\n${Array.from({ length: 20 }, (_, index) => `line ${index}`).join('\n')}\n`)
    expect(error.message).toContain("cannot fetch image 'debian trixie amd64': mmdebstrap failed\n    line 14\n")
    expect(error.message).toContain(`\n    line 19\n  log: ${join(dir, 'log')}`)
    expect(error.hint).toBe(`read ${join(dir, 'log')}`)
  })

  it.each([
    ["E: The repository 'http://m/debian trixie Release' does not have a Release file.", 'check that http://m/debian has this release'],
    ['Err:1 http://m/debian trixie InRelease\n  Temporary failure resolving', 'check that this host reaches http://m/debian'],
    ['W: GPG error: NO_PUBKEY 648ACFD622F3D138', '--keyring FILE'],
    ['E: Unable to locate package nonsense', '--packages'],
    ['tar: write error: No space left on device', 'df -h'],
  ])('says what to try after "%s"', async (line, hint) => {
    expect((await explain(`${line}\n`)).hint).toContain(hint)
  })

  it('leaves other errors alone', async () => {
    const other = new Error('x')
    expect(await explainFailure(other, { tool: '', about: '', mirror: '', logFile: '' })).toBe(other)
  })
})
