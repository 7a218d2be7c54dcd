/**
 * Making a container so that it is there whole or not at all.
 *
 * creating.json stands in the directory from before anything is made until after config.yaml is there, which alone makes
 * a container exist. It lists the volumes; each is written down before it is made. Undo in the process and recovery after
 * a crash are the same function, `sweepCreation`.
 */
import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../lib/abort.ts'
import { ExistsError } from '../lib/errors.ts'
import { UndoStack } from '../lib/undo.ts'
import type { LockHandle } from '../platform/addon.ts'
import { fileError, removeFile, syncDir, writeDurable, writeFirst, writeUnflushed } from '../platform/files.ts'
import type { Volume } from '../storage/driver.ts'
import { finishRenames } from './copy/rename-journal.ts'
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
import { sweepTrash } from './trash.ts'

const OWNER_ONLY_DIR = 0o700

export interface CommitContent {
  /** Text of config.yaml. */
  readonly config: string
  readonly record: ContainerRecord
  /** Absent: the container has no root file system that we made. */
  readonly volume?: Volume | undefined
}

export interface CreationOptions {
  /** Default true. False: of many at once; the caller flushes the file system before each next step. */
  readonly flush?: boolean
}

/** A container in the making: `await using creation = await beginCreation(…)`. Disposed without commit, all of it is undone. */
export class Creation implements AsyncDisposable {
  readonly container: Container
  readonly context: StoreContext
  /** For what makers undo besides: runs before the directory is removed. */
  readonly undo = new UndoStack()
  readonly #lock: LockHandle
  readonly #flush: boolean
  #volumes: readonly Volume[] = []

  constructor(context: StoreContext, container: Container, lock: LockHandle, { flush = true }: CreationOptions = {}) {
    this.#flush = flush
    this.context = context
    this.container = container
    this.#lock = lock
    this.undo.add(`remove '${container.dir}'`, () => sweepCreation(context, container))
  }

  /** To be called before a volume is made, with what `driver.locate` says. */
  async willMake(volume: Volume): Promise<void> {
    await this.announce([volume])
  }

  /** Writes the journal anew; where it is not flushed, for the first time. */
  async announce(volumes: readonly Volume[]): Promise<void> {
    this.#volumes = [...this.#volumes, ...volumes]
    await writeJournal(this.context, this.container.dir, this.#volumes, this.#flush)
  }

  /** What `commit` needs beside config.yaml. Called by itself where many are flushed before the first is committed. */
  async prepare({ record, volume }: Pick<CommitContent, 'record' | 'volume'>): Promise<void> {
    const { dir } = this.container
    await this.#writeNew(recordFile(dir), json(record))
    if (volume !== undefined) await this.#writeNew(volumeFile(dir), json(volumeRecord(volume)))
  }

  /** From here on the container exists. The lock is held until the disposal, for what follows a commit. */
  async commit(content: CommitContent): Promise<Container> {
    throwIfAborted(this.context.signal)
    await this.prepare(content)
    await this.commitPrepared(content.config)
    await this.finish()
    return this.container
  }

  /** The commit point alone; the journal stays until `finish`. */
  async commitPrepared(config: string): Promise<void> {
    throwIfAborted(this.context.signal)
    await this.#write(this.container.configFile, config)
    this.undo.commit()
  }

  /** Nothing is left to do. */
  async finish(): Promise<void> {
    const journal = join(this.container.dir, CREATING)
    if (this.#flush) await removeFile(journal)
    else rmSync(journal, { force: true })
  }

  /** Before the commit half a file does no harm: it goes with the rest. */
  async #writeNew(path: string, content: string): Promise<void> {
    if (this.#flush) await writeDurable(path, content)
    else writeFirst(path, content)
  }

  async #write(path: string, content: string): Promise<void> {
    if (this.#flush) await writeDurable(path, content)
    else writeUnflushed(path, content)
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
export async function beginCreation(context: StoreContext, name: string, options: CreationOptions = {}): Promise<Creation> {
  const { flush = true } = options
  const container = containerOf(context.paths, name)
  const lock = await lockContainer(context, name)
  try {
    await clearTheWay(context, container)
    await makeDir(container.dir, flush)
    // Of many, each is announced before anything is allocated for it.
    if (flush) {
      await writeJournal(context, container.dir, []).catch(async (error: unknown) => {
        await sweepCrashed(context, container)
        throw error
      })
    }
    return new Creation(context, container, lock, options)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Under the lock. Finishes what crashed commands began, and refuses what is neither theirs nor empty. */
async function clearTheWay(context: StoreContext, container: Container): Promise<void> {
  sweepTrash(context.paths)
  await finishRenames(context, [container.name])
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

async function makeDir(dir: string, flush: boolean): Promise<void> {
  try {
    await mkdir(dir, { mode: OWNER_ONLY_DIR })
  } catch (error) {
    // Empty, or with temporary files of a crash: ours now.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw fileError('create', dir, error)
  }
  if (flush) await syncDir(join(dir, '..'))
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
