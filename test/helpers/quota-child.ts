/**
 * Bundled and run in the virtual machine: limits of directories on a file system with project quota. argv: an empty
 * directory on it. Prints what it found, as JSON.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TslxcError } from '../../src/lib/errors.ts'
import { loadAddon } from '../../src/platform/addon.ts'
import { makePaths } from '../../src/platform/paths.ts'
import { type DirVolume, makeDirDriver } from '../../src/storage/dir.ts'
import { fill, put } from './storage-place.ts'

const [dir = '', installRoot = ''] = process.argv.slice(2)
const MIB = 1 << 20
const paths = makePaths({ root: join(dir, 'root'), installRoot })
const driver = makeDirDriver(paths)
const at = (name: string) => {
  mkdirSync(join(dir, name), { recursive: true })
  return { dir: join(dir, name), name: 'rootfs', label: name, pool: {} }
}
const failure = (error: unknown) => (error instanceof TslxcError ? { code: error.code, message: error.message } : String(error))

chmodSync(dir, 0o700)
const web = await driver.create(at('web'))
// Before it has a limit, so that a walk has to charge it.
await put(driver, web, 'before', 'x'.repeat(3 * MIB))
const limited = (await driver.resize(web, 24 * MIB)) as DirVolume
const clone = (await driver.resize(await driver.clone(limited, at('db')), 24 * MIB)) as DirVolume
const found = {
  probe: await driver.probe(at('web')),
  before: await driver.usage(limited),
  small: await fill(driver, limited, 'small', 4),
  tooBig: await fill(driver, limited, 'too-big', 32),
  projects: [limited.projectId, clone.projectId],
  clone: await fill(driver, clone, 'more', 12),
  below: await driver.resize(limited, 2 * MIB).catch(failure),
  grown: ((await driver.resize(limited, 64 * MIB)) as DirVolume).projectId,
  fits: await fill(driver, limited, 'fits', 32),
  after: await driver.usage(limited),
  unlimited: await driver.usage((await driver.resize(limited, undefined)) as DirVolume),
}
await driver.destroy(limited)
await driver.destroy(clone)
const addon = loadAddon(installRoot)
const accounts = () => found.projects.map((id) => addon.projectAccount(dir, id ?? 0))
// xfs frees the blocks of deleted files behind the call that deleted them.
let left = accounts()
for (let round = 0; round < 100 && left.some((account) => (account?.usedBytes ?? 0) > 0); round++) {
  await sleep(200)
  left = accounts()
}
process.stdout.write(JSON.stringify({ ...found, left }))
