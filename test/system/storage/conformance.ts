/** What every storage driver must do, by its interface alone. `<driver>.test.ts` runs it on a store of its own. */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { StorageDriver, Volume, VolumeRef } from '../../../src/storage/driver.ts'
import { storageDriver } from '../../../src/storage/index.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'
import {
  type Bench,
  besides,
  entriesIn,
  type Fixture,
  fillWithOddTree,
  get,
  manifest,
  namesIn,
  type Place,
  put,
  refIn,
} from '../../helpers/storage-place.ts'
import { crashes } from './conformance-crash.ts'
import { exchanges } from './conformance-exchange.ts'
import { sizes } from './conformance-sizes.ts'

export function conformance(name: string, fixture: Fixture): void {
  const { missing = false } = fixture
  describe.skipIf(missing !== false)(`${name}${missing === false ? '' : ` (${missing})`}`, () => {
    expectNoLeaks()
    const bench = useBench(fixture)
    basics(bench)
    copies(bench)
    exchanges(bench)
    sizes(bench)
    crashes(bench)
  })
}

/** Its members are there once the tests run. */
function useBench(fixture: Fixture): Bench {
  let place: Place
  let driver: StorageDriver
  let before: readonly string[] = []
  let made: Volume[] = []
  beforeAll(async () => {
    place = await fixture.setUp()
    driver = storageDriver(place.paths, fixture.driver)
  })
  beforeEach(async () => {
    before = await place.list()
  })
  afterEach(async () => {
    await destroyAll(driver, made)
    made = []
    expect(entriesIn(place.dir)).toEqual([])
    expect(await place.list()).toEqual(before)
  })
  afterAll(async () => await place?.tearDown())
  const note = <V extends Volume>(volume: V): V => {
    made.push(volume)
    return volume
  }
  const noted = async (at: VolumeRef): Promise<VolumeRef> => {
    note(await driver.locate(at))
    return at
  }
  return {
    fixture,
    get driver() {
      return driver
    },
    get place() {
      return place
    },
    ref: (label) => refIn(place, label),
    create: async (at) => await driver.create(await noted(at)),
    clone: async (from, to) => await driver.clone(from, await noted(to)),
    snapshot: async (of, as) => await driver.snapshot(of, await noted(as)),
    note,
  }
}

/** Clones may have to go before what they come from, in an order that only the store knows. */
async function destroyAll(driver: StorageDriver, volumes: readonly Volume[]): Promise<void> {
  let left = [...volumes].reverse()
  for (;;) {
    const kept: Volume[] = []
    let failure: unknown
    for (const volume of left) {
      try {
        await driver.destroy(volume)
      } catch (error) {
        failure = error
        kept.push(volume)
      }
    }
    if (kept.length === 0) return
    if (kept.length === left.length) throw failure
    left = kept
  }
}

function basics(bench: Bench): void {
  const { fixture } = bench

  it('says what it can do', async () => {
    const found = await bench.driver.probe(bench.ref('web'))
    const { quota, ...rest } = fixture.expected
    expect(found).toMatchObject({ usable: true, ...rest })
    if (!found.usable) return
    expect(found.quota === true).toBe(quota)
    if (found.quota !== true) expect(found.quota.reason).not.toBe('')
  })

  it('creates an empty directory with mode 0755, where it said it would', async () => {
    const at = bench.ref('web')
    const located = await bench.driver.locate(at)
    const volume = await bench.create(at)
    expect(volume).toEqual(located)
    expect(volume.driver).toBe(fixture.driver)
    const found = await bench.driver.withMounted(volume, async (root) => lstatSync(`${root}/.`))
    expect({ mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, isDirectory: found.isDirectory() }).toEqual({
      mode: 0o755,
      uid: 0,
      gid: 0,
      isDirectory: true,
    })
    expect(await namesIn(bench.driver, volume)).toEqual([])
  })

  it('keeps what is written into it', async () => {
    const volume = await bench.create(bench.ref('web'))
    await put(bench.driver, volume, 'file', 'content')
    expect(await get(bench.driver, volume, 'file')).toBe('content')
    await expect(
      bench.driver.withMounted(volume, async () => {
        throw new Error('in use')
      }),
    ).rejects.toThrow('in use')
  })

  it('lets nobody write who said that he reads', async (context) => {
    const { writableMounts } = fixture.leaves ?? {}
    context.skip(writableMounts !== undefined, writableMounts ?? '')
    const volume = await bench.create(bench.ref('web'))
    const write = bench.driver.withMounted(volume, async (root) => writeFileSync(join(root, 'file'), 'x'), { readOnly: true })
    await expect(write).rejects.toMatchObject({ code: 'EROFS' })
    expect(await namesIn(bench.driver, volume)).toEqual([])
  })

  it('plans a mount that shows the content', async () => {
    const volume = await bench.create(bench.ref('web'))
    await put(bench.driver, volume, 'file', 'content')
    const plan = bench.driver.rootfsPlan(volume)
    const target = join(bench.place.dir, 'target')
    mkdirSync(target)
    const script = `${mountCommand(plan)} && cat target/file`
    const shown = execFileSync('unshare', ['-m', 'sh', '-c', `${script}`], { cwd: bench.place.dir, encoding: 'utf8' })
    expect(shown).toBe('content')
    execFileSync('rmdir', [target])
  })

  it('takes the absent for destroyed', async () => {
    const at = bench.ref('web')
    await bench.driver.destroy(await bench.driver.locate(at))
    const volume = await bench.create(at)
    await bench.driver.destroy(volume)
    await bench.driver.destroy(volume)
    expect(entriesIn(bench.place.dir)).toEqual([])
  })

  it('changes nothing of what is in its way', async () => {
    const [web, db] = [await bench.create(bench.ref('web')), await bench.create(bench.ref('db'))]
    await put(bench.driver, web, 'file', 'web')
    await put(bench.driver, db, 'file', 'db')
    await expect(bench.driver.create(bench.ref('web'))).rejects.toMatchObject({ code: 'exists' })
    await expect(bench.driver.clone(db, bench.ref('web'))).rejects.toMatchObject({ code: 'exists' })
    const first = await bench.snapshot(web, bench.ref('web@snap0'))
    await put(bench.driver, web, 'file', 'web 2')
    await expect(bench.driver.snapshot(web, bench.ref('web@snap0'))).rejects.toMatchObject({ code: 'exists' })
    expect(await get(bench.driver, web, 'file')).toBe('web 2')
    expect(await get(bench.driver, first, 'file')).toBe('web')
  })
}

/** `target` is the directory `target` of the working directory. */
function mountCommand(plan: ReturnType<StorageDriver['rootfsPlan']>): string {
  switch (plan.kind) {
    case 'bind':
      return `mount --${plan.recursive ? 'r' : ''}bind '${plan.path}' target`
    case 'fs':
      return `mount -t '${plan.type}' ${plan.options === '' ? '' : `-o '${plan.options}'`} '${plan.source}' target`
    case 'overlay':
      return `mount -t overlay -o 'lowerdir=${plan.lowers.join(':')}${plan.upper === undefined ? '' : `,upperdir=${plan.upper},workdir=${plan.work}`}' overlay target`
    case 'loop':
      return `mount -t '${plan.type}' -o loop '${plan.file}' target`
    case 'block':
      return `mount -t '${plan.type}' '${plan.device}' target`
  }
}

function copies(bench: Bench): void {
  const { fixture } = bench
  const { oddTrees, writableSnapshots } = fixture.leaves ?? {}
  const known = fixture.located ?? ((volume: Volume): unknown => volume)

  it('clones with everything a root file system can hold', async (context) => {
    context.skip(oddTrees !== undefined, oddTrees ?? '')
    const volume = await bench.create(bench.ref('web'))
    await fillWithOddTree(bench.driver, volume)
    const before = await manifest(bench.driver, volume)
    expect(before.length).toBeGreaterThan(380)
    expect(before.find(({ path }) => path === 'sparse')).toMatchObject({ sparse: true })
    const at = bench.ref('db')
    const clone = await bench.clone(volume, at)
    expect(known(clone)).toEqual(known(await bench.driver.locate(at)))
    expect(await manifest(bench.driver, clone)).toEqual(before)
    const snapshot = await bench.snapshot(volume, bench.ref('web@snap0'))
    expect(known(snapshot)).toEqual(known(await bench.driver.locate(bench.ref('web@snap0'))))
    expect(await manifest(bench.driver, snapshot)).toEqual(before)
    expect(await manifest(bench.driver, volume)).toEqual(before)
  })

  it('clones are independent, both ways', async () => {
    const volume = await bench.create(bench.ref('web'))
    await put(bench.driver, volume, 'file', 'first')
    const clone = await bench.clone(volume, bench.ref('db'))
    await put(bench.driver, clone, 'file', 'of the clone')
    await put(bench.driver, volume, 'other', 'of the source')
    expect(await get(bench.driver, volume, 'file')).toBe('first')
    expect(await get(bench.driver, clone, 'file')).toBe('of the clone')
    expect(await namesIn(bench.driver, clone)).toEqual(['file'])
  })

  it('snapshots keep their content; a clone of one is writable', async () => {
    const volume = await bench.create(bench.ref('web'))
    await put(bench.driver, volume, 'file', 'first')
    const snapshot = await bench.snapshot(volume, bench.ref('web@snap0'))
    await put(bench.driver, volume, 'file', 'second')
    const clone = await bench.clone(snapshot, bench.ref('db'))
    await put(bench.driver, clone, 'file', 'third')
    expect(await get(bench.driver, snapshot, 'file')).toBe('first')
    expect(await get(bench.driver, volume, 'file')).toBe('second')
    expect(await get(bench.driver, clone, 'file')).toBe('third')
  })

  it('snapshots cannot be written', async (context) => {
    context.skip(writableSnapshots !== undefined, writableSnapshots ?? '')
    const volume = await bench.create(bench.ref('web'))
    await put(bench.driver, volume, 'file', 'first')
    const snapshot = await bench.snapshot(volume, bench.ref('web@snap0'))
    await expect(put(bench.driver, snapshot, 'file', 'second')).rejects.toThrow()
    expect(await get(bench.driver, snapshot, 'file')).toBe('first')
  })

  it('makes two clones of one source at once', async () => {
    const volume = await bench.create(bench.ref('web'))
    for (let i = 0; i < 100; i++) await put(bench.driver, volume, `file-${i}`, String(i).repeat(1000))
    const clones = await Promise.all(['a', 'b'].map((label) => bench.clone(volume, bench.ref(label))))
    for (const clone of clones) expect(await manifest(bench.driver, clone)).toEqual(await manifest(bench.driver, volume))
  })

  it('leaves nothing of what was aborted', async () => {
    const volume = await bench.create(bench.ref('web'))
    await bench.driver.withMounted(volume, async (root) => {
      for (let i = 0; i < 3000; i++) writeFileSync(join(root, `file-${i}`), 'x'.repeat(5000))
    })
    const aborted = AbortSignal.abort()
    for (const at of [bench.ref('db'), bench.ref('web@snap0'), besides(bench.ref('db'))]) bench.note(await bench.driver.locate(at))
    await expect(bench.driver.clone(volume, bench.ref('db'), { signal: aborted })).rejects.toMatchObject({ code: 'aborted' })
    await expect(bench.driver.snapshot(volume, bench.ref('web@snap0'), { signal: aborted })).rejects.toMatchObject({ code: 'aborted' })
    await expect(bench.driver.create(bench.ref('db'), { signal: aborted })).rejects.toMatchObject({ code: 'aborted' })
    for (const delayMs of [0, 1, 5, 20]) {
      const signal = AbortSignal.timeout(delayMs)
      try {
        await bench.driver.destroy(await bench.driver.clone(volume, besides(bench.ref('db')), { signal }))
      } catch (error) {
        expect(error).toMatchObject({ code: 'aborted' })
      }
    }
    expect(entriesIn(join(bench.place.dir, 'db'))).toEqual([])
  })
}
