import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { architecture, distribution, kernelIsAtLeast, kernelVersion, requireTool, subordinateRanges } from '../../../src/platform/host.ts'

it('knows the kernel, the architecture and the distribution', () => {
  expect(kernelVersion().major).toBeGreaterThanOrEqual(4)
  expect(kernelIsAtLeast(3, 10)).toBe(true)
  expect(kernelIsAtLeast(999, 0)).toBe(false)
  expect(architecture().lxc).not.toBe('')
  expect(distribution().id).not.toBe('')
})

it('names the command that installs a missing tool', () => {
  expect(requireTool('sh', "create 'web'")).toMatch(/^\//)
  expect(() => requireTool('no-such-tool-of-ours', "create 'web'")).toThrow("cannot create 'web': 'no-such-tool-of-ours' is not installed")
})

it('reads subordinate ids, and nothing where the files are absent', () => {
  const etc = mkdtempSync(join(tmpdir(), 'tslxc-etc-'))
  try {
    expect(subordinateRanges(etc)).toEqual({ uid: [], gid: [] })
    writeFileSync(join(etc, 'subuid'), '# comment\nanna:100000:65536\nbad line\n1000:165536:65536\n')
    expect(subordinateRanges(etc).uid).toEqual([
      { owner: 'anna', first: 100000, count: 65536 },
      { owner: '1000', first: 165536, count: 65536 },
    ])
  } finally {
    rmSync(etc, { recursive: true })
  }
})
