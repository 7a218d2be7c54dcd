import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { allocateIds, idmapLine, readIds, releaseIds } from '../../../src/container/ids.ts'
import { makeTrial, type Trial } from '../../helpers/containers.ts'

let trial: Trial
let etc = ''
beforeEach(() => {
  trial = makeTrial()
  etc = join(trial.root, 'etc')
  mkdirSync(etc)
})
afterEach(() => trial[Symbol.dispose]())
const owner = (name: string) => ({ lxcpath: trial.paths.lxcpath, name })

it('gives each container a range of its own, the same one when asked again, and takes it back', async () => {
  const web = await allocateIds(trial, owner('web'), etc)
  expect(web).toEqual({ ...owner('web'), first: 1_000_000 })
  expect(idmapLine(web)).toBe('b 0 1000000 65536')
  expect((await allocateIds(trial, owner('db'), etc)).first).toBe(1_065_536)
  expect(await allocateIds(trial, owner('web'), etc)).toEqual(web)
  expect((await allocateIds(trial, { lxcpath: '/elsewhere', name: 'web' }, etc)).first).toBe(1_131_072)
  await releaseIds(trial, owner('web'))
  await releaseIds(trial, owner('web'))
  expect((await allocateIds(trial, owner('new'), etc)).first).toBe(1_000_000)
  expect((await readIds(trial.paths)).map(({ name }) => name)).toEqual(['new', 'db', 'web'])
})

it('leaves out what others have in /etc/subuid and /etc/subgid, not what root has', async () => {
  writeFileSync(join(etc, 'subuid'), 'root:1000000:1000000000\nanna:1000100:10\n')
  writeFileSync(join(etc, 'subgid'), 'bert:1100000:65536\n')
  expect((await allocateIds(trial, owner('a'), etc)).first).toBe(1_000_000 + 3 * 65_536)
})

it('says so when there is none left', async () => {
  writeFileSync(join(etc, 'subuid'), 'anna:0:4294967295\n')
  await expect(allocateIds(trial, owner('a'), etc)).rejects.toThrow('cannot allocate ids: every range is taken')
})

it('is safe for many at once', async () => {
  const ranges = await Promise.all(Array.from({ length: 20 }, (_, i) => allocateIds(trial, owner(`c${i}`), etc)))
  expect(new Set(ranges.map(({ first }) => first)).size).toBe(20)
})
