/** What is left when a copy or a renaming dies, at any call that changes the disk. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { destroyContainer } from '../../../src/container/destroy/destroy.ts'
import { allocateIds, readIds } from '../../../src/container/ids.ts'
import { lockExisting, settleForStart } from '../../../src/container/settle.ts'
import { takeSnapshot } from '../../../src/container/snapshot/snapshot.ts'
import { type Container, containerOf, listContainers, readVolume } from '../../../src/container/store.ts'
import { beginCreation } from '../../../src/container/transaction.ts'
import { emptyTrash } from '../../../src/container/trash.ts'
import { NotFoundError } from '../../../src/lib/errors.ts'
import { driverOf, volumeText } from '../../../src/storage/index.ts'
import { makeContainer, makeTrial, type Trial } from '../../helpers/containers.ts'
import { bundleCrashChild, runChild } from '../../helpers/crash-tests.ts'

bundleCrashChild()

const STEPS = 400
const IDMAP = 'idmap: ["b 0 1000000 65536"]\n'

async function makeSource(trial: Trial): Promise<Container> {
  await allocateIds(trial, { lxcpath: trial.paths.lxcpath, name: 'web' })
  const container = await makeContainer(trial, 'web', IDMAP)
  writeFileSync(join(container.dir, 'fstab'), `${container.dir}/x x none bind 0 0\n`)
  return container
}

/** It is listed, and all of it is its own and there. */
async function expectWhole(trial: Trial, name: string): Promise<void> {
  {
    using held = await lockExisting(trial, name, 'look at')
    expect(held.container.name).toBe(name)
  }
  const container = containerOf(trial.paths, name)
  const volume = await readVolume(container)
  expect(volume).toBeDefined()
  if (volume === undefined) return
  expect(readFileSync(container.configFile, 'utf8')).toContain(volumeText(volume))
  expect(readFileSync(container.configFile, 'utf8')).toContain(`name: ${name} `)
  const content = await driverOf(trial.paths, volume).withMounted(volume, async (root) => readFileSync(join(root, 'file'), 'utf8'))
  expect(content).toBe('web')
  expect(readFileSync(join(container.dir, 'fstab'), 'utf8')).toBe(`${container.dir}/x x none bind 0 0\n`)
}

const names = (trial: Trial): string[] => listContainers(trial.paths).map(({ name }) => name)

async function destroyIfThere(trial: Trial, name: string): Promise<void> {
  await destroyContainer(trial, name, { force: true, snapshots: true }).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error
  })
}

const visible = (trial: Trial): string[] => readdirSync(trial.paths.lxcpath).filter((entry) => !entry.startsWith('.'))

describe.each([
  ['copy', 1],
  ['copy-many', 3],
  ['copy-sharing', 2],
] as const)('%s that was killed', (verb, stride) => {
  it('leaves its source whole, and each copy whole or none; the name is free again', { timeout: 300_000 }, async () => {
    const seen = { whole: 0, none: 0 }
    for (let killAt = 1; killAt < STEPS; killAt += stride) {
      using trial = makeTrial()
      await makeSource(trial)
      if (runChild(verb, trial, killAt)) break
      await expectWhole(trial, 'web')
      for (const name of names(trial)) await expectWhole(trial, name)
      if (names(trial).includes('copy')) seen.whole++
      else seen.none++
      if (killAt % 2 === 0 && !names(trial).includes('copy')) {
        await using creation = await beginCreation(trial, 'copy')
        expect(readdirSync(creation.container.dir)).toEqual(['creating.json'])
      }
      for (const name of ['copy', 'copy2', 'web']) await destroyIfThere(trial, name)
      await emptyTrash(trial.paths)
      expect(visible(trial)).toEqual([])
      expect((await readIds(trial.paths)).filter(({ name }) => name === 'web')).toEqual([])
      const layers = join(trial.paths.lxcpath, '.layers')
      expect(existsSync(layers) ? readdirSync(layers).filter((entry) => /^[0-9a-f]{12}$/.test(entry)) : []).toEqual([])
    }
    expect(seen.whole).toBeGreaterThan(0)
    expect(seen.none).toBeGreaterThan(5)
  })
})

describe('a renaming that was killed', () => {
  it('leaves the container whole under one of the two names, with its ids and snapshots', { timeout: 300_000 }, async () => {
    const seen = { web: 0, www: 0 }
    for (let killAt = 1; killAt < STEPS; killAt++) {
      using trial = makeTrial()
      await makeSource(trial)
      await takeSnapshot(trial, 'web')
      if (runChild('rename', trial, killAt)) break
      const found = names(trial)
      expect(found).toHaveLength(1)
      const [name = ''] = found
      seen[name as keyof typeof seen]++
      if (killAt % 3 === 0) await settleForStart(trial, name)
      if (killAt % 3 === 1) {
        // Somebody makes a new one of the old name: it must not get what is the other's.
        await using creation = await beginCreation(trial, name === 'web' ? 'www' : 'web')
        const { first } = await allocateIds(trial, { lxcpath: trial.paths.lxcpath, name: creation.container.name })
        expect(first).not.toBe(1_000_000)
      }
      await expectWhole(trial, name)
      const snapshot = join(trial.paths.lxcpath, name, 'snaps/snap0')
      expect(readFileSync(join(snapshot, 'volume.json'), 'utf8')).toContain(`"${snapshot}/rootfs"`)
      expect(await readIds(trial.paths)).toMatchObject([{ first: 1_000_000, name }])
      expect(readdirSync(join(trial.paths.lxcpath)).filter((entry) => entry === 'web' || entry === 'www')).toEqual([name])
      await destroyIfThere(trial, name)
      expect(await readIds(trial.paths)).toEqual([])
    }
    expect(seen.web).toBeGreaterThan(3)
    expect(seen.www).toBeGreaterThan(3)
  })
})
