import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lockExisting, settleForStart } from '../../../src/container/settle.ts'
import { restoreSnapshot } from '../../../src/container/snapshot/restore.ts'
import { takeSnapshot } from '../../../src/container/snapshot/snapshot.ts'
import { listSnapshots } from '../../../src/container/snapshot/snapshot-store.ts'
import { type Container, readVolume } from '../../../src/container/store.ts'
import { makeContainer, makeTrial, type Trial } from '../../helpers/containers.ts'
import { bundleCrashChild, runChild } from '../../helpers/crash-tests.ts'

bundleCrashChild()

const WHOLE = ['config.yaml', 'record.json', 'rootfs', 'snaps', 'volume.json']
/** What the compiler makes again. */
const CACHES = ['spec.json', 'seccomp.bpf']
const steps = Array.from({ length: 200 }, (_, i) => i + 1)

/** What every command on the container does first; a start by the other door. */
async function settle(trial: Trial, byStart: boolean): Promise<void> {
  if (byStart) return await settleForStart(trial, 'web')
  using held = await lockExisting(trial, 'web', 'look at')
  expect(held.container.name).toBe('web')
}

/** Which of the two it is, by its file and its configuration alike. */
async function contentOf({ dir, configFile }: Container): Promise<'old' | 'new'> {
  const volume = await readVolume({ name: 'web', dir, configFile })
  expect(volume).toEqual({ driver: 'dir', path: join(dir, 'rootfs') })
  const file = readFileSync(join(dir, 'rootfs/file'), 'utf8')
  const config = readFileSync(configFile, 'utf8')
  expect(config).toContain(`dir:${dir}/rootfs`)
  expect([file, config.includes('# changed')]).toEqual(file === 'web' ? ['web', false] : ['changed', true])
  return file === 'web' ? 'new' : 'old'
}

describe('a restore that was killed', () => {
  it('leaves the old or the new, whole, whichever call it died at', { timeout: 180_000 }, async () => {
    const seen = { old: 0, new: 0 }
    for (const killAt of steps) {
      using trial = makeTrial()
      const container = await makeContainer(trial, 'web')
      await takeSnapshot(trial, 'web')
      writeFileSync(join(container.dir, 'rootfs/file'), 'changed')
      appendFileSync(container.configFile, '# changed\n')
      if (runChild('restore', trial, killAt)) break
      expect(existsSync(container.configFile)).toBe(true)
      await settle(trial, killAt % 2 === 0)
      seen[await contentOf(container)]++
      const left = readdirSync(container.dir).filter((entry) => !CACHES.includes(entry))
      // a start leaves the half of a file that nobody reads to the next command
      expect((killAt % 2 === 0 ? left.filter((entry) => !entry.endsWith('.tmp')) : left).sort()).toEqual(WHOLE)
      expect((await listSnapshots(container)).map(({ name }) => name)).toEqual(['snap0'])
      // and it can be done again
      await restoreSnapshot(trial, 'web', { snapshot: 'snap0' })
      expect(await contentOf(container)).toBe('new')
    }
    expect(seen.old).toBeGreaterThan(5)
    expect(seen.new).toBeGreaterThan(5)
  })
})

describe('a snapshot that was killed', () => {
  it('is there whole or not at all, and its name can be taken again', { timeout: 180_000 }, async () => {
    const seen = { whole: 0, none: 0 }
    for (const killAt of steps) {
      using trial = makeTrial()
      const container = await makeContainer(trial, 'web')
      if (runChild('snapshot', trial, killAt)) break
      await settle(trial, false)
      const [snapshot] = await listSnapshots(container)
      if (snapshot === undefined) {
        seen.none++
        expect(existsSync(join(container.dir, 'snaps')) ? readdirSync(join(container.dir, 'snaps')) : []).toEqual([])
        await takeSnapshot(trial, 'web', { snapshot: 'taken' })
      } else {
        seen.whole++
        expect(snapshot).toMatchObject({ name: 'taken', note: 'whole' })
      }
      const dir = join(container.dir, 'snaps/taken')
      expect(
        readdirSync(dir)
          .filter((entry) => !entry.endsWith('.tmp'))
          .sort(),
      ).toEqual(['config.yaml', 'rootfs', 'snapshot.yaml', 'volume.json'])
      expect(readFileSync(join(dir, 'rootfs/file'), 'utf8')).toBe('web')
    }
    expect(seen.none).toBeGreaterThan(10)
    expect(seen.whole).toBeGreaterThan(0)
  })
})

describe('a removal of snapshots that was killed', () => {
  it('is finished by the next command', { timeout: 180_000 }, async () => {
    let killed = 0
    for (const killAt of steps) {
      using trial = makeTrial()
      const container = await makeContainer(trial, 'web')
      await takeSnapshot(trial, 'web')
      await takeSnapshot(trial, 'web')
      if (runChild('remove', trial, killAt)) break
      killed++
      await settle(trial, false)
      const there = (await listSnapshots(container)).map(({ name }) => name)
      const dir = join(container.dir, 'snaps')
      expect(existsSync(dir) ? readdirSync(dir).sort() : []).toEqual(there)
      for (const name of there) expect(readFileSync(join(dir, name, 'rootfs/file'), 'utf8')).toBe('web')
    }
    expect(killed).toBeGreaterThan(5)
  })
})
