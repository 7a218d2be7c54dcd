/** Of the conformance suite: a process that is killed in the middle of a call, at any time. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Volume } from '../../../src/storage/driver.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { bundleHelper } from '../../helpers/bundle.ts'
import { type Bench, besides, entriesIn, get, manifest, put } from '../../helpers/storage-place.ts'

const ROUNDS = 30
/** Of the exchange, which takes longer. */
const SHARE = 3

export function crashes(bench: Bench): void {
  const { crashRounds: rounds = ROUNDS, callMs } = bench.fixture
  // In the virtual machine bundling takes minutes: there it is made before.
  const { TSLXC_STORAGE_CHILD: ready } = process.env
  let bundle = ''
  let file = ready ?? ''
  beforeAll(async () => {
    if (ready !== undefined) return
    bundle = mkdtempSync('/var/tmp/tslxc-test-')
    file = join(bundle, 'child.mjs')
    await bundleHelper('storage-child.ts', file)
  })
  afterAll(() => {
    if (bundle !== '') rmSync(bundle, { recursive: true, force: true })
  })
  const start = (verb: string, ...args: readonly unknown[]) =>
    startChild(file, {
      root: bench.place.paths.root,
      installRoot: repositoryRoot,
      driver: bench.fixture.driver,
      verb,
      arguments: args,
    })

  it(`destroys what a killed one left, ${rounds} times`, { timeout: 600_000 }, async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    await fillSome(bench, volume)
    const before = await manifest(driver, volume)
    const listed = await bench.place.list()
    const entries = entriesIn(bench.place.dir)
    const lengthMs: Record<string, number> = callMs === undefined ? {} : { clone: callMs, snapshot: callMs, destroy: callMs }
    for (let round = 0; round < rounds; round++) {
      const verb = (['clone', 'snapshot', 'destroy'] as const)[round % 3] ?? 'clone'
      const at = verb === 'snapshot' ? bench.ref('web@snap0') : bench.ref('db')
      const located = bench.note(await driver.locate(at))
      if (verb === 'destroy') await driver.clone(volume, at)
      const child = verb === 'destroy' ? start(verb, located) : start(verb, volume, at)
      // The first of a kind runs to its end, which says how long that takes.
      if (lengthMs[verb] === undefined) lengthMs[verb] = await child.end()
      else await child.kill(Math.random() * lengthMs[verb] * 1.1)
      await driver.destroy(located)
      expect(entriesIn(bench.place.dir)).toEqual(entries)
      expect(await bench.place.list()).toEqual(listed)
    }
    expect(await manifest(driver, volume)).toEqual(before)
  })

  it('goes on with an exchange that was killed', { timeout: 300_000 }, async () => {
    const { driver } = bench
    let lengthMs = callMs
    for (let round = 0; round < rounds / SHARE; round++) {
      const at = bench.ref(`web${round}`)
      const volume = await bench.create(at)
      await put(driver, volume, 'file', 'old')
      const made = await bench.create(besides(at))
      await put(driver, made, 'file', 'new')
      const child = start('exchange', volume, made)
      if (lengthMs === undefined) lengthMs = await child.end()
      else await child.kill(Math.random() * lengthMs)
      const { live, aside } = await driver.exchange(volume, made)
      bench.note(live)
      expect(await get(driver, live, 'file')).toBe('new')
      if (aside === undefined) throw new Error('there is nothing aside')
      expect(await get(driver, bench.note(aside), 'file')).toBe('old')
    }
  })
}

const fillSome = (bench: Bench, volume: Volume): Promise<void> =>
  bench.driver.withMounted(volume, async (root) => {
    for (let i = 0; i < 1000; i++) writeFileSync(join(root, `file-${i}`), String(i).repeat(2000))
  })

interface Child {
  /** Milliseconds of the call. Throws when it fails. */
  end(): Promise<number>
  /** So long after the call began. On return the tools it ran have ended too. */
  kill(afterMs: number): Promise<void>
}

/** A process group of its own: the tools that a killed one leaves behind are waited for. */
function startChild(file: string, call: unknown): Child {
  const child = spawn(process.execPath, [file, JSON.stringify(call)], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  return {
    async end() {
      const began = await ready(child)
      const [code] = await closed
      if (code !== 0) throw new Error(`the child failed: ${stderr}`)
      return performance.now() - began
    },
    async kill(afterMs) {
      await ready(child)
      await sleep(afterMs)
      child.kill('SIGKILL')
      await closed
      while (groupIsThere(child.pid)) await sleep(5)
    },
  }
}

async function ready(child: ChildProcessByStdio<null, Readable, Readable>): Promise<number> {
  await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
  child.stdout.resume()
  return performance.now()
}

function groupIsThere(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(-pid, 0)
  } catch {
    return false
  }
}
