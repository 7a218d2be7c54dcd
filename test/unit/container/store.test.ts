import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { destroyContainer } from '../../../src/container/destroy/destroy.ts'
import { allocateIds, readIds } from '../../../src/container/ids.ts'
import { containerOf, findContainer, listContainers, lockContainer, readVolume, rootfsRef } from '../../../src/container/store.ts'
import { beginCreation } from '../../../src/container/transaction.ts'
import { TslxcError } from '../../../src/lib/errors.ts'
import { attachUndoErrors } from '../../../src/lib/undo.ts'
import { storageDriver } from '../../../src/storage/index.ts'
import { exampleContent, makeContainer, makeTrial, type Trial } from '../../helpers/containers.ts'

let trial: Trial
beforeEach(() => {
  trial = makeTrial()
})
afterEach(() => trial[Symbol.dispose]())
const gently = { force: false, snapshots: false }
const visible = () => readdirSync(trial.paths.lxcpath).filter((entry) => !entry.startsWith('.'))

describe('finding', () => {
  it('lists what has a config.yaml, sorted, and nothing else', async () => {
    expect(listContainers(trial.paths)).toEqual([])
    await makeContainer(trial, 'web')
    await makeContainer(trial, 'db')
    mkdirSync(join(trial.paths.lxcpath, 'no-container'))
    writeFileSync(join(trial.paths.lxcpath, 'file'), '')
    expect(listContainers(trial.paths).map(({ name }) => name)).toEqual(['db', 'web'])
    expect(await findContainer(trial.paths, 'web', 'copy')).toEqual(containerOf(trial.paths, 'web'))
  })

  it('names the container that was probably meant, with the phrase that scripts look for', async () => {
    await makeContainer(trial, 'webserver')
    await expect(findContainer(trial.paths, 'webserv', 'copy')).rejects.toMatchObject({
      code: 'not-found',
      message: "cannot copy 'webserv': Container is not defined",
      hint: "did you mean 'webserver'?",
    })
    await expect(findContainer(trial.paths, 'db', 'copy')).rejects.toMatchObject({ hint: expect.stringContaining('tslxc ls') })
    await expect(findContainer(trial.paths, '../x', 'copy')).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('a creation', () => {
  it('is private, and exists from its commit on', async () => {
    const container = await makeContainer(trial, 'web')
    expect(statSync(container.dir).mode & 0o777).toBe(0o700)
    expect(readdirSync(container.dir).sort()).toEqual(['config.yaml', 'record.json', 'rootfs', 'volume.json'])
    expect(await readVolume(container)).toEqual({ driver: 'dir', path: join(container.dir, 'rootfs') })
    await expect(beginCreation(trial, 'web')).rejects.toMatchObject({
      code: 'exists',
      message: "cannot create 'web': Container already exists",
    })
    ;(await lockContainer(trial, 'web')).release()
  })

  it('leaves nothing when it fails: volume, ids, directory', async () => {
    const work = async () => {
      await using creation = await beginCreation(trial, 'web')
      await allocateIds(trial, { lxcpath: trial.paths.lxcpath, name: 'web' })
      const driver = storageDriver(trial.paths, 'dir')
      const at = rootfsRef(creation.container)
      await creation.willMake(await driver.locate(at))
      await driver.create(at)
      expect(listContainers(trial.paths)).toEqual([])
      throw new TslxcError('no-space', 'cannot unpack the image: no space left')
    }
    await expect(work()).rejects.toMatchObject({ code: 'no-space' })
    expect(visible()).toEqual([])
    expect(await readIds(trial.paths)).toEqual([])
    await makeContainer(trial, 'web')
  })

  it('undoes what its makers added, last first, and reports what could not be undone', async () => {
    const order: string[] = []
    const work = async () => {
      await using creation = await beginCreation(trial, 'web')
      creation.undo.add('undo the first', () => void order.push('first'))
      creation.undo.add('undo the second', () => {
        order.push('second')
        throw new Error('no')
      })
      throw new TslxcError('host', 'cannot go on')
    }
    const error = attachUndoErrors(await work().catch((thrown: unknown) => thrown))
    expect(order).toEqual(['second', 'first'])
    expect(error).toMatchObject({ message: 'cannot go on', undoErrors: ['cannot undo the second: no'] })
    expect(visible()).toEqual([])
  })

  it('does not commit once it is aborted', async () => {
    const abort = new AbortController()
    const work = async () => {
      await using creation = await beginCreation({ ...trial, signal: abort.signal }, 'web')
      abort.abort()
      await creation.commit(exampleContent({ driver: 'dir', path: '/x' }))
    }
    await expect(work()).rejects.toMatchObject({ code: 'aborted' })
    expect(visible()).toEqual([])
  })

  it('keeps others out while it lasts, by name of what runs', async () => {
    await using creation = await beginCreation({ ...trial, command: 'tslxc create web' }, 'web')
    await expect(beginCreation({ ...trial, lockTimeoutMs: 20 }, 'web')).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining("'web' is locked by 'tslxc create web'"),
    })
    await using other = await beginCreation(trial, 'db')
    expect([creation.container.name, other.container.name]).toEqual(['web', 'db'])
  })

  it('refuses a directory of somebody else’s', async () => {
    const { dir } = containerOf(trial.paths, 'web')
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'precious'), 'x')
    await expect(beginCreation(trial, 'web')).rejects.toMatchObject({ code: 'exists' })
    expect(existsSync(join(dir, 'precious'))).toBe(true)
  })
})

describe('destroying', () => {
  it('removes all, and gives the ids back', async () => {
    await makeContainer(trial, 'web')
    await allocateIds(trial, { lxcpath: trial.paths.lxcpath, name: 'web' })
    expect(await destroyContainer(trial, 'web', gently)).toEqual({ name: 'web', stopped: false, leftovers: false, warnings: [] })
    expect(visible()).toEqual([])
    expect(await readIds(trial.paths)).toEqual([])
    await expect(destroyContainer(trial, 'web', gently)).rejects.toMatchObject({
      code: 'not-found',
      message: "cannot destroy 'web': Container is not defined",
    })
  })

  it('follows no symlink out of the container', async () => {
    const container = await makeContainer(trial, 'web')
    const precious = join(trial.root, 'precious')
    mkdirSync(precious)
    writeFileSync(join(precious, 'file'), 'x')
    symlinkSync(precious, join(container.dir, 'rootfs/out'))
    symlinkSync(precious, join(container.dir, 'snaps'))
    await destroyContainer(trial, 'web', gently)
    expect(existsSync(join(precious, 'file'))).toBe(true)
  })

  it('refuses one with snapshots, unless they may go too', async () => {
    const container = await makeContainer(trial, 'web')
    mkdirSync(join(container.dir, 'snaps/snap0'), { recursive: true })
    writeFileSync(join(container.dir, 'snaps/snap0/snapshot.yaml'), 'created: 2026-01-01T00:00:00Z\n')
    await expect(destroyContainer(trial, 'web', gently)).rejects.toMatchObject({
      message: 'Destroying web failed: web has snapshots (snap0)',
      hint: 'tslxc destroy -s web',
    })
    expect(listContainers(trial.paths)).toHaveLength(1)
    await destroyContainer(trial, 'web', { force: false, snapshots: true })
    expect(visible()).toEqual([])
  })

  it('runs hook.destroy as LXC does; a hook that fails keeps the container', async () => {
    const script = join(trial.root, 'hook')
    writeFileSync(
      script,
      `#!/bin/sh\necho "$@" "$LXC_NAME" >> ${trial.root}/said\n[ ! -e ${trial.root}/refuse ] || { echo no >&2; exit 3; }\n`,
      {
        mode: 0o755,
      },
    )
    await makeContainer(trial, 'web', `hook: { destroy: ["${script} more"] }\n`)
    writeFileSync(join(trial.root, 'refuse'), '')
    await expect(destroyContainer(trial, 'web', gently)).rejects.toMatchObject({
      message: `hook destroy '${script}' failed with exit code 3: no`,
    })
    expect(listContainers(trial.paths)).toHaveLength(1)
    const { rmSync, readFileSync } = await import('node:fs')
    rmSync(join(trial.root, 'refuse'))
    await destroyContainer(trial, 'web', gently)
    expect(readFileSync(join(trial.root, 'said'), 'utf8')).toBe('more web lxc destroy web\nmore web lxc destroy web\n')
  })

  it('is possible with a broken configuration, and says what was left out', async () => {
    const container = await makeContainer(trial, 'web')
    writeFileSync(container.configFile, 'nonsense: [')
    const report = await destroyContainer(trial, 'web', gently)
    expect(report.warnings).toHaveLength(1)
    expect(visible()).toEqual([])
  })

  it('keeps storage that is not managed', async () => {
    const container = await makeContainer(trial, 'web')
    const config = `rootfs: { path: "dir:${container.dir}/rootfs", managed: 0 }\n`
    writeFileSync(container.configFile, config)
    await expect(destroyContainer(trial, 'web', gently)).rejects.toThrow(/rootfs.managed is 0/)
    expect(existsSync(join(container.dir, 'rootfs/file'))).toBe(true)
    writeFileSync(
      join(container.dir, 'volume.json'),
      JSON.stringify({ version: 1, volume: { driver: 'dir', path: join(trial.root, 'mine') } }),
    )
    mkdirSync(join(trial.root, 'mine'))
    await destroyContainer(trial, 'web', gently)
    expect(existsSync(join(trial.root, 'mine'))).toBe(true)
    expect(visible()).toEqual([])
  })
})
