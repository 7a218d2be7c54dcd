/** Two commands at once on one container: one after the other in either order, never a mixture. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  allocated,
  type LifecycleBench as Bench,
  contentOf,
  emptyTrash,
  putBulk,
  putContent,
  remarkOf,
} from '../../helpers/lifecycle-store.ts'

export function races(current: () => Bench): void {
  const store = () => current().store
  const ok = (...words: string[]) => store().root.ok(...words)
  const tslxc = (...words: string[]) => store().root.tslxc(...words)
  const listed = async () => (await ok('ls', '-1')).split(/\s+/).filter((name) => name !== '')

  beforeEach(async () => {
    if ((await listed()).includes('web')) return
    await ok('create', 'web', ...current().createArgs)
    await putContent(store(), 'web', 'old')
    await ok('snapshot', 'web')
    await putContent(store(), 'web', 'new')
  })
  afterEach(async () => {
    for (const name of (await listed()).filter((one) => one !== 'web')) await ok('destroy', '-f', '-s', name)
  })

  it('copies of one name: one is made; a copy and a destruction of its source: both orders', async () => {
    const made = await Promise.all([tslxc('copy', 'web', 'one'), tslxc('copy', 'web', 'one')])
    expect(made.map(({ code }) => code).sort()).toEqual([0, 1])
    expect(made.find(({ code }) => code === 1)?.stderr).toContain('Container already exists')
    expect(await contentOf(store(), 'one')).toBe('new')
    const [copied, destroyed] = await Promise.all([tslxc('copy', 'one', 'two'), sleep(40).then(() => tslxc('destroy', '-s', 'one'))])
    expect(destroyed.code).toBe(0)
    if (copied.code === 0) expect(await contentOf(store(), 'two')).toBe('new')
    else expect(copied.stderr).toContain('Container is not defined')
  })

  it('two restores; a restore and a start; a snapshot and a destruction', async () => {
    const restored = await Promise.all([tslxc('snapshot', '-r', 'snap0', 'web'), tslxc('snapshot', '-r', 'snap0', 'web')])
    expect(restored.map(({ code }) => code)).toEqual([0, 0])
    expect([await contentOf(store(), 'web'), remarkOf(store(), 'web')]).toEqual(['old', 'old'])
    if (!current().options.startless) {
      await putContent(store(), 'web', 'new')
      const [restore, start] = await Promise.all([tslxc('snapshot', '-r', 'snap0', 'web'), sleep(60).then(() => tslxc('start', 'web'))])
      expect(start.code).toBe(0)
      if (restore.code !== 0) expect(restore.stderr).toContain('it is running')
      const text = (await ok('attach', 'web', '--', '/bin/cat', '/root/content')).trim()
      expect([text, remarkOf(store(), 'web')]).toEqual(restore.code === 0 ? ['old', 'old'] : ['new', 'new'])
      await ok('stop', '-k', 'web')
    }
    const [taken, destroyed] = await Promise.all([tslxc('snapshot', 'web', 'race'), tslxc('destroy', '-s', 'web')])
    expect(destroyed.code).toBe(0)
    if (taken.code !== 0) expect(taken.stderr).toContain('Container is not defined')
    expect(await listed()).not.toContain('web')
  })

  it('four creations from an image that the store does not have yet', async () => {
    await ok('destroy', '-s', 'web')
    await ok('image', 'rm', '--all')
    const names = ['a', 'b', 'c', 'd']
    const made = await Promise.all(names.map((name) => tslxc('create', name, ...current().createArgs)))
    expect(made.map(({ code, stderr }) => `${code} ${stderr}`)).toEqual(names.map(() => expect.stringMatching(/^0 /)))
    expect(allocated(store(), 'ids').filter((name) => names.includes(name)).length % 4).toBe(0)
    await ok('destroy', ...names)
    await emptyTrash(store())
  })

  it('stop waits for no full copy', async (context) => {
    context.skip(Boolean(current().options.startless), String(current().options.startless))
    await putBulk(store(), 'web', 40)
    await ok('start', 'web')
    const copying = tslxc('copy', '-a', 'web', 'slow')
    await sleep(150)
    const before = Date.now()
    await ok('stop', '-k', 'web')
    expect(Date.now() - before).toBeLessThan(3000)
    if ((await copying).code === 0) expect(await contentOf(store(), 'slow')).toBe('new')
  })
}
