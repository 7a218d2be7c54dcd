import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isSettled, isStale, stampsOf } from '../../../src/compile/stamps.ts'
import { compileContainer, writeCompiled } from '../../../src/compile/write.ts'
import { makePaths, type Paths } from '../../../src/platform/paths.ts'
import { builtAddon, repositoryRoot } from '../../helpers/addon.ts'

let dir = ''
let paths: Paths
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-stamps-'))
  paths = makePaths({ root: dir, installRoot: repositoryRoot })
  mkdirSync(join(paths.lxcpath, 'box'), { recursive: true, mode: 0o700 })
  write('uts: { name: a }\n')
})
afterEach(() => rmSync(dir, { recursive: true }))

const config = (): string => join(paths.lxcpath, 'box/config.yaml')
const spec = (): string => join(paths.lxcpath, 'box/spec.json')
// Without the filter, so that no addon is needed.
const write = (text: string): void =>
  writeFileSync(config(), `${text}rootfs: { path: /nowhere }\nseccomp: { profile: none }\ninclude: common.d\n`, { mode: 0o600 })
const build = async (): Promise<string> => (await compileContainer(paths, 'box')).spec.build

describe('a compiled spec is stale', () => {
  it.each([
    ['never by itself', () => undefined, false],
    ['when the config is edited', () => write('uts: { name: b }\n'), true],
    ['when its mode changes', () => chmodSync(config(), 0o640), true],
    ['when a time is set back', () => utimesSync(config(), 1, 1), true],
    ['when a record appears', () => writeFileSync(join(paths.lxcpath, 'box/record.json'), '{}'), true],
    ['when an included directory appears', () => mkdirSync(join(dir, 'etc/tslxc/common.d'), { recursive: true }), true],
    ['when it is gone', () => rmSync(spec()), true],
    ['when it is no JSON', () => writeFileSync(spec(), '{"version":1'), true],
  ])('%s', async (_, change, expected) => {
    await writeCompiled(paths, 'box')
    change()
    expect(isStale(spec(), await build())).toBe(expected)
  })

  it('when another build reads it', async () => {
    await writeCompiled(paths, 'box')
    expect(isStale(spec(), 'another')).toBe(true)
  })

  it('after an edit within the same tick as the one that was compiled', async () => {
    for (let round = 0; round < 5; round++) {
      write(`uts: { name: a${round} }\n`)
      const { spec: compiled } = await writeCompiled(paths, 'box')
      expect(compiled.hostname).toBe(`a${round}`)
      write(`uts: { name: b${round} }\n`)
      expect(isStale(spec(), await build())).toBe(true)
    }
  })
})

it('waits for young inputs only', () => {
  const stamp = (ns: bigint) => [['/x', '1', '2', 3, String(ns)] as const]
  expect(isSettled(stamp(1_000_000_000n), 1_020_000_000n)).toBe(true)
  expect(isSettled(stamp(1_000_000_000n), 1_019_999_999n)).toBe(false)
  expect(isSettled(stamp(1_500_000_000n), 1_000_000_000n)).toBe(false)
  // The clock was set back by an hour: nobody waits for it.
  expect(isSettled(stamp(3_600_000_000_000n), 1n)).toBe(true)
  expect(isSettled([['/absent']], 0n)).toBe(true)
})

it('stamps as the native side does', () => {
  const native = builtAddon()
  const places = ['/', '/proc', '/sys', '/dev/null', dir, process.execPath, '/nowhere']
  const expected = native
    .stamp(places)
    .map((found, index) => (found === undefined ? [places[index]] : [places[index], found.dev, found.inode, found.size, found.ctimeNs]))
  expect(stampsOf(places)).toEqual(expected)
})
