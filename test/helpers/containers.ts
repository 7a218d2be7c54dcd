/** Containers for tests that start none. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Container, type ContainerRecord, rootfsRef, type StoreContext } from '../../src/container/store.ts'
import { beginCreation } from '../../src/container/transaction.ts'
import { makePaths } from '../../src/platform/paths.ts'
import type { Volume } from '../../src/storage/driver.ts'
import { storageDriver } from '../../src/storage/index.ts'
import { repositoryRoot } from './addon.ts'

export interface Trial extends StoreContext, Disposable {
  readonly root: string
}

/** A root of its own, removed with all in it. */
export function makeTrial(command = 'tslxc test'): Trial {
  const root = mkdtempSync(join(tmpdir(), 'tslxc-trial-'))
  return {
    root,
    paths: makePaths({ root, installRoot: repositoryRoot }),
    command,
    lockTimeoutMs: 10_000,
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

export const exampleContent = (volume: Volume): { config: string; record: ContainerRecord } => ({
  config: `uts: { name: web }\nrootfs: { path: "dir:${volume.path}" }\n`,
  record: {
    version: 1,
    uuid: randomUUID(),
    template: 'busybox',
    options: {},
    guest: { network: 'busybox', init: 'busybox' },
    createdAt: new Date().toISOString(),
  },
})

/** A stopped container with one file in its root file system. */
export async function makeContainer(context: StoreContext, name: string, moreConfig = ''): Promise<Container> {
  await using creation = await beginCreation(context, name)
  const driver = storageDriver(context.paths, 'dir')
  const at = rootfsRef(creation.container)
  await creation.willMake(await driver.locate(at))
  const volume = await driver.create(at)
  writeFileSync(join(volume.path, 'file'), name)
  const { config, record } = exampleContent(volume)
  return await creation.commit({ config: config + moreConfig, record, volume })
}
