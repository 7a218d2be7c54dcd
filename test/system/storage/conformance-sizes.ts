/** Of the conformance suite: how much is used, and limits of it. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Bench, fill, get, put } from '../../helpers/storage-place.ts'

const MIB = 1 << 20

export function sizes(bench: Bench): void {
  const { fixture } = bench
  const { limit, grown } = fixture.sizes ?? { limit: 64 * MIB, grown: 128 * MIB }

  it('tells what is used', async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    const before = await driver.usage(volume)
    await driver.withMounted(volume, async (root) => {
      writeFileSync(join(root, 'big'), randomBytes(8 * MIB))
      execFileSync('sync', ['-f', `${root}/.`])
    })
    bench.place.writeOut?.()
    // Some stores count when they write out.
    await expect
      .poll(async () => (await driver.usage(volume)).referencedBytes - before.referencedBytes, { timeout: 15_000 })
      .toSatisfy((more: number) => more >= 7 * MIB && more <= 12 * MIB)
    const { usedBytes } = await driver.usage(volume)
    expect(usedBytes).toBeGreaterThanOrEqual(before.usedBytes)
    expect(usedBytes).toBeLessThan(128 * MIB)
  })

  // One of the two ways has no meaning for a store.
  const nowhere: typeof it.only = (() => undefined) as never
  const [whereLimited, whereUnlimited] = fixture.expected.quota ? [it, nowhere] : [nowhere, it]

  whereLimited('limits the size, and grows it', { timeout: 300_000 }, async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    const limited = bench.note(await driver.resize(volume, limit))
    expect((await driver.usage(limited)).limitBytes).toBeGreaterThan(limit * 0.8)
    expect((await driver.usage(limited)).limitBytes).toBeLessThanOrEqual(limit)
    expect(await fill(driver, limited, 'small', 8)).toBe('ok')
    expect(await fill(driver, limited, 'too-big', limit / MIB + 16)).toMatch(/^(ENOSPC|EDQUOT)$/)
    const larger = bench.note(await driver.resize(limited, grown))
    expect(await fill(driver, larger, 'fits', Math.round(limit / MIB))).toBe('ok')
    expect((await driver.usage(larger)).limitBytes).toBeGreaterThan(limit)
    expect((await driver.usage(larger)).limitBytes).toBeLessThanOrEqual(grown)
  })

  whereLimited('refuses a limit below what is there, with the numbers', { timeout: 300_000 }, async () => {
    const { driver } = bench
    const volume = bench.note(await driver.resize(await bench.create(bench.ref('web')), limit))
    await put(driver, volume, 'file', 'content')
    expect(await fill(driver, volume, 'data', 40)).toBe('ok')
    await expect(driver.resize(volume, 20 * MIB)).rejects.toMatchObject({
      code: expect.stringMatching(/^(host|no-space|usage)$/),
      message: expect.stringMatching(/\d/),
    })
    expect(await get(driver, volume, 'file')).toBe('content')
    expect((await driver.usage(volume)).limitBytes).toBeGreaterThan(limit * 0.8)
  })

  whereLimited('keeps the limit of a clone apart', { timeout: 300_000 }, async () => {
    const { driver } = bench
    const volume = bench.note(await driver.resize(await bench.create(bench.ref('web')), limit))
    expect(await fill(driver, volume, 'data', Math.round((limit / MIB) * 0.6))).toBe('ok')
    const clone = bench.note(await driver.resize(await bench.clone(volume, bench.ref('db')), limit))
    // Both together are above the limit of each.
    expect(await fill(driver, clone, 'more', 4)).toBe('ok')
    expect(await fill(driver, volume, 'more', 4)).toBe('ok')
  })

  whereUnlimited('says why it cannot limit, and what to do', async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    const found = await driver.probe(bench.ref('web'))
    if (!found.usable || found.quota === true) throw new Error('there is a quota')
    const { reason, hint } = found.quota
    await expect(driver.resize(volume, limit)).rejects.toMatchObject({ code: 'host', message: expect.stringContaining(reason), hint })
    expect(hint).not.toBe('')
  })
}
