/**
 * Making a container so that it is there whole or not at all.
 *
 * creating.json stands in the directory from before anything is made until after config.yaml is there, which alone makes
 * a container exist. It lists the volumes; each is written down before it is made. Undo in the process and recovery after
 * a crash are the same function, `sweepCreation`.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError } from '../lib/errors.ts'
import { UndoStack } from '../lib/undo.ts'
import type { LockHandle } from '../platform/addon.ts'
import { fileError, removeFile, syncDir, writeDurable, writeJson } from '../platform/files.ts'
import type { Volume } from '../storage/driver.ts'
import { writeJournal } from './journal.ts'
import type { Container, ContainerRecord, StoreContext } from './store.ts'
import {
  alreadyExists,
  CREATING,
  containerExists,
  containerOf,
  isBare,
  lockContainer,
  recordFile,
  volumeFile,
  volumeRecord,
} from './store.ts'
import { sweepCrashed, sweepCreation } from './sweep.ts'
import { emptyTrash } from './trash.ts'

const OWNER_ONLY_DIR = 0o700

export interface CommitContent {
  /** Text of config.yaml. */
  readonly config: string
  readonly record: ContainerRecord
  /** Absent: the container has no root file system that we made. */
  readonly volume?: Volume | undefined
}

/** A container in the making: `await using creation = await beginCreation(…)`. Disposed without commit, all of it is undone. */
export class Creation implements AsyncDisposable {
  readonly container: Container
  readonly context: StoreContext
  /** For what makers undo besides: runs before the directory is removed. */
  readonly undo = new UndoStack()
  readonly #lock: LockHandle
  #volumes: readonly Volume[] = []

  constructor(context: StoreContext, container: Container, lock: LockHandle) {
    this.context = context
    this.container = container
    this.#lock = lock
    this.undo.add(`remove '${container.dir}'`, () => sweepCreation(context, container))
  }

  /** To be called before a volume is made, with what `driver.locate` says. */
  async willMake(volume: Volume): Promise<void> {
    this.#volumes = [...this.#volumes, volume]
    await writeJournal(this.context, this.container.dir, this.#volumes)
  }

  /** From here on the container exists. The lock is held until the disposal, for what follows a commit. */
  async commit({ config, record, volume }: CommitContent): Promise<Container> {
    const { dir, configFile } = this.container
    throwIfAborted(this.context.signal)
    await writeJson(recordFile(dir), record)
    if (volume !== undefined) await writeJson(volumeFile(dir), volumeRecord(volume))
    await writeDurable(configFile, config)
    this.undo.commit()
    await removeFile(join(dir, CREATING))
    return this.container
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.undo[Symbol.asyncDispose]()
    } finally {
      this.#lock.release()
    }
  }
}

/**
 * Takes a name: its lock, what a crashed command left under it, its directory (0700) and the journal.
 * @throws ExistsError, with LXC's phrase; BusyError that names who works on it
 */
export async function beginCreation(context: StoreContext, name: string): Promise<Creation> {
  const container = containerOf(context.paths, name)
  const lock = await lockContainer(context, name)
  try {
    await clearTheWay(context, container)
    await makeDir(container.dir)
    await writeJournal(context, container.dir, []).catch(async (error: unknown) => {
      await sweepCrashed(context, container)
      throw error
    })
    return new Creation(context, container, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Under the lock. Finishes what crashed commands began, and refuses what is neither theirs nor empty. */
async function clearTheWay(context: StoreContext, container: Container): Promise<void> {
  await emptyTrash(context.paths)
  if (containerExists(context.paths, container.name)) {
    // The crash was between the commit and the end of the journal.
    await removeFile(join(container.dir, CREATING))
    throw alreadyExists(container.name)
  }
  await sweepCrashed(context, container)
  if (isBare(container.dir)) return
  throw new ExistsError(`cannot create '${container.name}': '${container.dir}' holds files and no config.yaml`, {
    hint: `move '${container.dir}' away`,
  })
}

async function makeDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: OWNER_ONLY_DIR })
  } catch (error) {
    // Empty, or with temporary files of a crash: ours now.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw fileError('create', dir, error)
  }
  await syncDir(join(dir, '..'))
}
