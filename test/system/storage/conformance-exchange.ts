/** Of the conformance suite: replacing a volume by another, and going back to a snapshot. */
import { expect, it } from 'vitest'
import type { Volume } from '../../../src/storage/driver.ts'
import { type Bench, besides, get, put } from '../../helpers/storage-place.ts'

/** Puts a clone of `from` into the place of `volume`; what was there goes, unless snapshots need it. */
async function restore(bench: Bench, volume: Volume, from: Volume, snapshots: readonly Volume[]): Promise<Volume> {
  const { driver } = bench
  const made = await bench.clone(from, besides(bench.ref('web')))
  const { live, aside } = await driver.exchange(volume, made)
  bench.note(live)
  if (aside === undefined) throw new Error('there is nothing aside')
  bench.note(aside)
  if ((await driver.dependents(aside, snapshots)).length === 0) await driver.destroy(aside)
  return live
}

export function exchanges(bench: Bench): void {
  it('exchanges two volumes, and can be asked again', async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    await put(driver, volume, 'file', 'old')
    const made = await bench.create(besides(bench.ref('web')))
    await put(driver, made, 'file', 'new')
    const first = await driver.exchange(volume, made)
    bench.note(first.live)
    if (first.aside === undefined) throw new Error('there is nothing aside')
    bench.note(first.aside)
    expect(await get(driver, first.live, 'file')).toBe('new')
    expect(await get(driver, first.aside, 'file')).toBe('old')
    // After a crash the same two are given again, whatever was done by then.
    const again = await driver.exchange(volume, made)
    expect(again).toEqual(first)
    expect(await get(driver, again.live, 'file')).toBe('new')
    await driver.destroy(first.aside)
    const last = await driver.exchange(volume, made)
    expect(last.live).toEqual(first.live)
    expect(await get(driver, last.live, 'file')).toBe('new')
    if (last.aside !== undefined) await driver.destroy(last.aside)
    expect(await get(driver, last.live, 'file')).toBe('new')
  })

  it('goes back to the older of two snapshots, and then to the newer', async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    await put(driver, volume, 'file', 'first')
    const older = await bench.snapshot(volume, bench.ref('web@snap0'))
    await put(driver, volume, 'file', 'second')
    const newer = await bench.snapshot(volume, bench.ref('web@snap1'))
    await put(driver, volume, 'file', 'third')
    const back = await restore(bench, volume, older, [older, newer])
    expect(await get(driver, back, 'file')).toBe('first')
    expect(await get(driver, newer, 'file')).toBe('second')
    await put(driver, back, 'file', 'fourth')
    const forth = await restore(bench, back, newer, [older, newer])
    expect(await get(driver, forth, 'file')).toBe('second')
    expect(await get(driver, older, 'file')).toBe('first')
    // The volume that is live now can be snapshotted like any other.
    const third = await bench.snapshot(forth, bench.ref('web@snap2'))
    expect(await get(driver, third, 'file')).toBe('second')
  })

  it('names nobody who would break where nobody would', async () => {
    const { driver } = bench
    const volume = await bench.create(bench.ref('web'))
    const other = await bench.create(bench.ref('db'))
    expect(await driver.dependents(volume, [other])).toEqual([])
    expect(await driver.dependents(other, [volume])).toEqual([])
  })
}
