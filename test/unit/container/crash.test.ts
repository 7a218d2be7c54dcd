import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { destroyContainer } from '../../../src/container/destroy/destroy.ts'
import { destroyContainers } from '../../../src/container/destroy/destroy-many.ts'
import { allocateManyIds, readIds } from '../../../src/container/ids.ts'
import { containerOf, listContainers, listLeftovers, readRecord, readVolume } from '../../../src/container/store.ts'
import { beginCreation } from '../../../src/container/transaction.ts'
import { emptyTrash } from '../../../src/container/trash.ts'
import { NotFoundError } from '../../../src/lib/errors.ts'
import { makeContainer, makeTrial, type Trial } from '../../helpers/containers.ts'
import { bundleCrashChild, runChild } from '../../helpers/crash-tests.ts'

bundleCrashChild()

const options = { force: true, snapshots: true }

/** Whatever was there: after this nothing is. */
async function destroyAll(trial: Trial): Promise<void> {
  await destroyContainer(trial, 'web', options).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error
  })
  const entries = existsSync(trial.paths.lxcpath) ? readdirSync(trial.paths.lxcpath) : []
  expect(entries.filter((entry) => !entry.startsWith('.'))).toEqual([])
  expect(await readIds(trial.paths)).toEqual([])
}

/** Half a container is none; one that is listed is whole. */
async function expectWholeOrNone(trial: Trial): Promise<boolean> {
  const [container] = listContainers(trial.paths)
  if (container === undefined) return false
  expect(await readRecord(container)).toMatchObject({ template: 'busybox' })
  expect(existsSync((await readVolume(container))?.path ?? '')).toBe(true)
  expect(readFileSync(container.configFile, 'utf8')).toContain('rootfs:')
  return true
}

const steps = Array.from({ length: 200 }, (_, i) => i + 1)

describe('a creation that was killed', () => {
  it('is recovered by a create or a destroy of the same name, whichever call it died at', { timeout: 120_000 }, async () => {
    const seen = { whole: 0, none: 0 }
    for (const killAt of steps) {
      using trial = makeTrial()
      if (runChild('create', trial, killAt)) break
      if (await expectWholeOrNone(trial)) seen.whole++
      else seen.none++
      if (killAt % 2 === 0 && listContainers(trial.paths).length === 0) {
        await makeContainer(trial, 'web')
        expect(listLeftovers(trial.paths)).toEqual([])
        expect(readdirSync(containerOf(trial.paths, 'web').dir).sort()).toEqual(['config.yaml', 'record.json', 'rootfs', 'volume.json'])
      }
      await destroyAll(trial)
    }
    expect(seen.whole).toBeGreaterThan(0)
    expect(seen.none).toBeGreaterThan(10)
  })
})

describe('a destruction that was killed', () => {
  it('is finished by the next destroy or create of the same name', { timeout: 120_000 }, async () => {
    let killed = 0
    for (const killAt of steps) {
      using trial = makeTrial()
      await makeContainer(trial, 'web')
      if (runChild('destroy', trial, killAt)) break
      killed++
      const isThere = await expectWholeOrNone(trial)
      if (killAt % 2 === 0 && !isThere) {
        await using creation = await beginCreation(trial, 'web')
        expect(readdirSync(creation.container.dir)).toEqual(['creating.json'])
      }
      await destroyAll(trial)
      // Deleted behind, by a process of its own; here at once.
      await emptyTrash(trial.paths)
      expect(readdirSync(join(trial.paths.lxcpath, '.trash'))).toEqual([])
    }
    expect(killed).toBeGreaterThan(3)
  })
})

describe('a destruction of many that was killed', () => {
  it('leaves each whole or half destroyed, and is finished by the next', { timeout: 120_000 }, async () => {
    const names = ['a', 'b', 'c']
    let killed = 0
    for (const killAt of steps) {
      using trial = makeTrial()
      for (const name of names) await makeContainer(trial, name)
      await allocateManyIds(
        trial,
        names.map((name) => ({ lxcpath: trial.paths.lxcpath, name })),
      )
      if (runChild('destroyMany', trial, killAt)) {
        expect(listContainers(trial.paths)).toEqual([])
        expect(await readIds(trial.paths)).toEqual([])
        break
      }
      killed++
      for (const container of listContainers(trial.paths)) {
        expect(existsSync((await readVolume(container))?.path ?? '')).toBe(true)
        expect(existsSync(container.configFile)).toBe(true)
      }
      const left = names.filter((name) => existsSync(containerOf(trial.paths, name).dir))
      if (left.length > 0) await destroyContainers(trial, left, { ...options, force: false, flatten: false })
      expect(readdirSync(trial.paths.lxcpath).filter((entry) => !entry.startsWith('.'))).toEqual([])
      expect(await readIds(trial.paths)).toEqual([])
    }
    expect(killed).toBeGreaterThan(6)
  })
})

describe('a destruction of many', () => {
  it('drops the one that fails, and removes the others', async () => {
    using trial = makeTrial()
    for (const name of ['a', 'b', 'c']) await makeContainer(trial, name)
    const { configFile } = containerOf(trial.paths, 'b')
    writeFileSync(configFile, `${readFileSync(configFile, 'utf8')}hook: { destroy: /bin/false }\n`)
    const destroying = destroyContainers(trial, ['a', 'b', 'c'], { ...options, flatten: false })
    await expect(destroying).rejects.toThrow(/hook destroy '\/bin\/false' failed/)
    expect(listContainers(trial.paths).map(({ name }) => name)).toEqual(['b'])
    expect(existsSync((await readVolume(containerOf(trial.paths, 'b')))?.path ?? '')).toBe(true)
  })
})
