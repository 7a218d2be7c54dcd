/** A store that is full, read-only, gone, or not ours: what is said, that nothing is lost and nothing left. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import {
  allocated,
  type LifecycleBench as Bench,
  bulkOf,
  configOf,
  contentOf,
  emptyTrash,
  expectEntries,
  namesIn,
  putBulk,
  putContent,
  remarkOf,
} from '../../helpers/lifecycle-store.ts'
import type { Outcome } from '../../helpers/program.ts'

const BULK_MIB = 24
const ROOM_MIB = 6

export function faults(current: () => Bench): void {
  const store = () => current().store
  const ok = (...words: string[]) => store().root.ok(...words)
  const tslxc = (...words: string[]) => store().root.tslxc(...words)
  const contents = () =>
    store()
      .entries()
      .filter((entry) => !entry.startsWith('.layers/'))
  let before: string[] = []
  let empty: string[] = []

  beforeAll(async () => {
    await ok('create', 'web', ...current().createArgs)
    await ok('destroy', 'web')
    await emptyTrash(store())
    empty = store().entries()
    await ok('create', 'web', ...current().createArgs)
    await putContent(store(), 'web', 'old')
    await ok('snapshot', 'web')
    await putBulk(store(), 'web', BULK_MIB)
    await putContent(store(), 'web', 'new')
    await emptyTrash(store())
    before = contents()
  })
  beforeEach(() => emptyTrash(store()))
  afterAll(async () => {
    store().empty()
    await ok('destroy', '-s', 'web')
    await expectEntries(store(), empty)
  })

  const expectUnharmed = async () => {
    expect(await contentOf(store(), 'web')).toBe('new')
    expect(remarkOf(store(), 'web')).toBe('new')
    expect(await contentOf(store(), 'web', 'snap0')).toBe('old')
    expect(namesIn(join(store().root.lxcpath, 'web')).filter((name) => /pending|\.new|creating|destroying|\.tmp$/.test(name))).toEqual([])
    await emptyTrash(store())
    // Sealing may come before a refusal: the layer is the container's own from then on.
    expect(contents()).toEqual(before)
    expect(allocated(store(), 'ids').filter((name) => name !== 'web')).toEqual([])
  }
  const expectRefused = ({ code, stderr }: Outcome, reason: RegExp) => {
    expect(stderr).toMatch(reason)
    expect(code).toBe(1)
    expect(stderr).not.toMatch(/internal|\bat .*\.[jt]s:/)
  }

  it('without room: says so; nothing is lost, nothing left, and it works with room again', async () => {
    const bulk = await bulkOf(store(), 'web')
    store().fill(ROOM_MIB)
    try {
      const full = /no space left|No space left|out of space|is full/
      for (const words of [
        ['copy', 'web', 'copy'],
        ['copy', 'web', 'copy', '-B', store().driver === 'loop' ? 'dir' : 'loop', ...(store().driver === 'loop' ? [] : ['-L', '64M'])],
        ['snapshot', 'web', 'full'],
        ['snapshot', '-r', 'snap0', 'web'],
      ]) {
        const outcome = await tslxc(...words)
        // What shares blocks may have found room enough.
        if (outcome.code !== 0) expectRefused(outcome, full)
        else if (words[0] === 'copy') {
          expect(await bulkOf(store(), 'copy')).toBe(bulk)
          await ok('destroy', 'copy')
        } else if (words[1] === 'web') await ok('snapshot', '-d', 'full', 'web')
        else {
          expect(await contentOf(store(), 'web')).toBe('old')
          store().empty()
          await putBulk(store(), 'web', BULK_MIB)
          await putContent(store(), 'web', 'new')
          store().fill(ROOM_MIB)
        }
        expect(await contentOf(store(), 'web', 'snap0')).toBe('old')
        expect(await contentOf(store(), 'web')).toBe('new')
      }
    } finally {
      store().empty()
    }
    await expectUnharmed()
    await ok('copy', 'web', 'copy')
    expect(await contentOf(store(), 'copy')).toBe('new')
    await ok('destroy', 'copy')
  })

  it('read-only: says so', async () => {
    // What is deleted behind, or a mount namespace that ends, has files open for a moment.
    await vi.waitFor(() => store().setReadOnly(true), { timeout: 10_000, interval: 200 })
    try {
      for (const words of [
        ['create', 'copy', ...current().createArgs],
        ['copy', 'web', 'copy'],
        ['snapshot', 'web', 'ro'],
        ['snapshot', '-r', 'snap0', 'web'],
      ])
        expectRefused(await tslxc(...words), /read-only|Read-only/)
    } finally {
      store().setReadOnly(false)
    }
    await expectUnharmed()
  })

  it('gone: says what is missing; all is there when it is back', async () => {
    store().away()
    try {
      for (const words of [
        ['copy', 'web', 'copy'],
        ['snapshot', 'web', 'gone'],
        ['snapshot', '-r', 'snap0', 'web'],
        ['start', 'web'],
      ])
        expectRefused(
          await tslxc(...words),
          /Container is not defined|it doesn't exist|there is no (dataset|pool)|dataset does not exist|not imported|No such/,
        )
    } finally {
      store().back()
    }
    await expectUnharmed()
  })

  it("somebody else's in its place, names that are taken, snapshots that are not there", async () => {
    const theirs = store().intrude('copy')
    for (const words of [
      ['create', 'copy', ...current().createArgs],
      ['copy', 'web', 'copy'],
    ])
      expectRefused(await tslxc(...words), /holds files and no config\.yaml|exists|not ours/)
    theirs.remove()
    expectRefused(await tslxc('copy', 'web', 'web'), /Container already exists/)
    expectRefused(await tslxc('snapshot', 'web', 'snap0'), /it already exists/)
    expectRefused(await tslxc('snapshot', '-r', 'snap7', 'web'), /snap7/)
    expectRefused(await tslxc('snapshot', '-d', 'snap7', 'web'), /snap7/)
    await expectUnharmed()
  })

  it('a configuration that can not be used does not keep the old content from coming back', async () => {
    const file = join(store().root.lxcpath, 'web/config.yaml')
    const whole = configOf(store(), 'web')
    writeFileSync(file, `${whole}nonsense: [\n`)
    const restored = await tslxc('snapshot', '-r', 'snap0', 'web')
    if (restored.code === 0) expect(remarkOf(store(), 'web')).toBe('old')
    else {
      expectRefused(restored, /config\.yaml:\d+/)
      writeFileSync(file, whole)
    }
    if (restored.code === 0) await putContent(store(), 'web', 'new')
    await expectUnharmed()
  })
}
