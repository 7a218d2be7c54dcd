/** Copies, renamings and removals that die at any moment, are interrupted, or meet a full disk; on the real program. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()
const root = makeRoot()
beforeAll(async () => {
  await root.createBusybox('web', '-B', 'dir')
})
afterAll(() => root.remove())

const visible = (at: TestRoot = root): string[] => readdirSync(at.lxcpath).filter((entry) => !entry.startsWith('.'))
const owners = (at: TestRoot = root): string[] =>
  JSON.parse(readFileSync(join(at.lxcpath, '.alloc/ids.json'), 'utf8')).ranges.map(({ name }: { name: string }) => name)
const begin = (...args: string[]): ChildProcess =>
  spawn(program, args, { stdio: 'ignore', env: { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: process.env.TSLXC_TEST_CACHE } })
const ended = (child: ChildProcess) => new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))

async function signalAfter(ms: number, signal: NodeJS.Signals, ...args: string[]): Promise<unknown> {
  const child = begin(...args)
  const end = ended(child)
  await sleep(ms)
  child.kill(signal)
  return await end
}

async function lengthOf(...args: string[]): Promise<number> {
  const before = Date.now()
  await root.ok(...args)
  return Date.now() - before
}

/** More often early. */
const delays = (count: number, lengthMs: number): number[] =>
  Array.from({ length: count }, (_, i) => (i / (count - 1)) ** 1.3 * lengthMs * 1.1)

async function destroyWhateverIsThere(...names: string[]): Promise<void> {
  for (const name of names) {
    const { code, stderr } = await root.tslxc('destroy', '-f', '-s', name)
    if (code !== 0) expect(stderr).toContain('Container is not defined')
  }
}

async function expectOnlyTheSource(): Promise<void> {
  expect(visible()).toEqual(['web'])
  expect(owners()).toEqual(['web'])
  const trash = join(root.lxcpath, '.trash')
  await vi.waitFor(() => expect(existsSync(trash) ? readdirSync(trash) : []).toEqual([]), { timeout: 20_000 })
}

const starts = async (name: string): Promise<void> => {
  await root.ok('start', name)
  await root.ok('stop', '-k', name)
}

describe('killed at any moment', { timeout: 300_000 }, () => {
  it('copy: each copy is whole or is none, and the source starts', async () => {
    const length = await lengthOf('copy', 'web', 'c1', 'c2')
    await destroyWhateverIsThere('c1', 'c2')
    for (const delay of delays(8, length)) {
      await signalAfter(delay, 'SIGKILL', 'copy', 'web', 'c1', 'c2')
      for (const name of (await root.ok('ls', '-1')).trim().split(/\s+/)) await starts(name)
      await destroyWhateverIsThere('c1', 'c2')
      await expectOnlyTheSource()
    }
  })

  it('copy -s: the same, and the source is a directory or an overlay', async () => {
    await root.ok('copy', '-B', 'dir', 'web', 'dir')
    const length = await lengthOf('copy', '-s', 'dir', 'thin')
    await destroyWhateverIsThere('thin', 'dir')
    for (const delay of delays(8, length)) {
      await root.ok('copy', '-B', 'dir', 'web', 'dir')
      await signalAfter(delay, 'SIGKILL', 'copy', '-s', 'dir', 'thin')
      for (const name of (await root.ok('ls', '-1')).trim().split(/\s+/)) await starts(name)
      await destroyWhateverIsThere('thin', 'dir')
      await expectOnlyTheSource()
    }
  })

  it('rename: it is there under one of the two names, and starts', async () => {
    await root.ok('copy', 'web', 'a')
    const length = await lengthOf('copy', '-R', 'a', 'b')
    await destroyWhateverIsThere('b')
    for (const delay of delays(8, length)) {
      await root.ok('copy', 'web', 'a')
      await signalAfter(delay, 'SIGKILL', 'copy', '-R', 'a', 'b')
      const [name = '', ...more] = (await root.ok('ls', '-1'))
        .trim()
        .split(/\s+/)
        .filter((found) => found !== 'web')
      expect(more).toEqual([])
      await starts(name)
      await destroyWhateverIsThere('a', 'b')
      await expectOnlyTheSource()
    }
  })

  it('destroy of several: the next one finishes', async () => {
    await root.ok('copy', 'web', 'x1', 'x2', 'x3')
    const length = await lengthOf('destroy', 'x1', 'x2', 'x3')
    for (const delay of delays(6, length)) {
      await root.ok('copy', 'web', 'x1', 'x2', 'x3')
      await signalAfter(delay, 'SIGKILL', 'destroy', 'x1', 'x2', 'x3')
      await destroyWhateverIsThere('x1', 'x2', 'x3')
      await expectOnlyTheSource()
    }
  })

  it('copy, by Ctrl-C, TERM and HUP: nothing is left, at once', async () => {
    writeFileSync(join(root.lxcpath, 'web/rootfs/large'), Buffer.alloc(100_000_000))
    const length = await lengthOf('copy', 'web', 'c1')
    await destroyWhateverIsThere('c1')
    for (const [round, delay] of delays(6, length).entries()) {
      const end = await signalAfter(delay, (['SIGINT', 'SIGTERM', 'SIGHUP'] as const)[round % 3] ?? 'SIGINT', 'copy', 'web', 'c1')
      // It may have been done, or past the point of return.
      if (end === 0 || (await root.ok('ls')).includes('c1')) await root.ok('destroy', 'c1')
      await expectOnlyTheSource()
    }
    execFileSync('rm', [join(root.lxcpath, 'web/rootfs/large')])
  })
})

describe('a full disk', () => {
  it('leaves nothing of a copy, and says what is full', async () => {
    const small = join(root.path, 'small')
    mkdirSync(small)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M,mode=0700', 'none', small])
    try {
      for (const names of [['c1'], ['c1', 'c2', 'c3']]) {
        const { code, stderr } = await root.tslxc('copy', '-p', small, 'web', ...names)
        expect(code).toBe(1)
        expect(stderr.toLowerCase()).toContain('no space left')
        expect(readdirSync(small).filter((entry) => !entry.startsWith('.'))).toEqual([])
        expect(owners()).toEqual(['web'])
      }
    } finally {
      execFileSync('umount', ['-l', small])
    }
  })
})
