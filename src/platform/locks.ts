/** Waiting for a lock: LOCK_NB with back-off, so that a signal is answered and the message can name the holder. */
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../lib/abort.ts'
import { BusyError } from '../lib/errors.ts'
import { type LockHandle, type LockHolder, loadAddon } from './addon.ts'
import type { Paths } from './paths.ts'

export interface LockRequest {
  /** Absolute; its directory exists, the file is made and never unlinked. */
  readonly path: string
  /** What is locked, for the message: `'web'`, `the networks`. */
  readonly object: string
  /** What we run, for the message of others: `tslxc create`. */
  readonly command: string
  readonly shared?: boolean
  /** Default 30 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_TIMEOUT_MS = 30_000
const FIRST_WAIT_MS = 2
const LONGEST_WAIT_MS = 100

const isHandle = (result: LockHandle | LockHolder): result is LockHandle => 'release' in result

/** The caller releases it.
 *  @throws BusyError that names the holder when the time is over. */
export async function acquireLock(paths: Pick<Paths, 'installRoot'>, request: LockRequest): Promise<LockHandle> {
  const addon = loadAddon(paths.installRoot)
  const deadline = Date.now() + (request.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    throwIfAborted(request.signal)
    const result = addon.tryLock(request.path, request.command, request.shared ?? false)
    if (isHandle(result)) return result
    if (Date.now() >= deadline) throw busyError(request, result)
    await sleep(waitMs)
  }
}

/** Runs `action` while holding the lock. */
export async function withLock<T>(paths: Pick<Paths, 'installRoot'>, request: LockRequest, action: () => Promise<T>): Promise<T> {
  const lock = await acquireLock(paths, request)
  try {
    return await action()
  } finally {
    lock.release()
  }
}

function busyError({ object, command }: LockRequest, { command: holder, pid, ageSeconds }: LockHolder): BusyError {
  return new BusyError(`${object} is locked by '${holder}' (pid ${pid}, ${ageSeconds} s)`, {
    hint: `wait for it, then run '${command}' again`,
  })
}
