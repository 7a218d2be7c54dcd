/**
 * Bundled and run as a process of its own: makes, changes or destroys a container and kills itself at the Nth call that changes
 * the disk. Prints `done` when it got through.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { cloneContainers } from '../../src/container/copy/copy.ts'
import { renameContainer } from '../../src/container/copy/rename.ts'
import { destroyContainer } from '../../src/container/destroy/destroy.ts'
import { destroyContainers } from '../../src/container/destroy/destroy-many.ts'
import { allocateIds } from '../../src/container/ids.ts'
import { restoreSnapshot } from '../../src/container/snapshot/restore.ts'
import { takeSnapshot } from '../../src/container/snapshot/snapshot.ts'
import { removeSnapshots } from '../../src/container/snapshot/snapshot-remove.ts'
import { rootfsRef } from '../../src/container/store.ts'
import { beginCreation } from '../../src/container/transaction.ts'
import { makePaths } from '../../src/platform/paths.ts'
import { storageDriver } from '../../src/storage/index.ts'
import { exampleContent } from './containers.ts'

const [verb = '', root = '', installRoot = '', killAt = '0'] = process.argv.slice(2)
type Calls = Record<string, (...args: unknown[]) => unknown>
const require = createRequire(import.meta.url)
let calls = 0
function countAll(module: Calls, names: readonly string[]): void {
  for (const name of names) {
    const original = module[name]
    module[name] = (...args) => {
      if (++calls === Number(killAt)) process.kill(process.pid, 'SIGKILL')
      return original?.(...args)
    }
  }
}
countAll(require('node:fs/promises') as Calls, ['open', 'rename', 'mkdir', 'rm', 'rmdir', 'chmod'])
countAll(require('node:fs') as Calls, ['writeFileSync', 'renameSync', 'mkdirSync', 'rmSync'])
// The tools of a store.
countAll(require('node:child_process') as Calls, ['spawn'])

// Many copies are written without waiting for the disk.
const sync = createRequire(import.meta.url)('node:fs') as Record<string, (...args: unknown[]) => unknown>
for (const name of ['writeFileSync', 'renameSync', 'mkdirSync', 'rmSync', 'copyFileSync']) {
  const original = sync[name]
  sync[name] = (...args) => {
    if (++calls === Number(killAt)) process.kill(process.pid, 'SIGKILL')
    return original?.(...args)
  }
}

syncBuiltinESMExports()

const paths = makePaths({ root, installRoot })
const context = { paths, command: `tslxc ${verb}` }

async function create(): Promise<void> {
  await using creation = await beginCreation(context, 'web')
  await allocateIds(context, { lxcpath: paths.lxcpath, name: 'web' })
  const driver = storageDriver(paths, 'dir')
  const at = rootfsRef(creation.container)
  await creation.willMake(await driver.locate(at))
  const volume = await driver.create(at)
  await creation.commit({ ...exampleContent(volume), volume })
}

const verbs: Record<string, () => Promise<unknown>> = {
  destroyMany: () => destroyContainers(context, ['*'], { force: false, snapshots: true, flatten: false }),
  create,
  destroy: () => destroyContainer(context, 'web', { force: true, snapshots: true }),
  snapshot: () => takeSnapshot(context, 'web', { snapshot: 'taken', note: 'whole' }),
  restore: () => restoreSnapshot(context, 'web', { snapshot: 'snap0' }),
  copy: () => cloneContainers(context, ['copy'], { source: { name: 'web' }, sharing: false }),
  'copy-many': () => cloneContainers(context, ['copy', 'copy2'], { source: { name: 'web' }, sharing: false }),
  'copy-sharing': () => cloneContainers(context, ['copy'], { source: { name: 'web' }, sharing: true }),
  rename: () => renameContainer(context, 'web', 'www', { keepName: false }),
  remove: () => removeSnapshots(context, 'web', 'ALL'),
}

await verbs[verb]?.()
process.stdout.write(`done ${calls}\n`)
