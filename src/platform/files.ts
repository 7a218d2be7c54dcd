/** Files of our own: written beside and renamed over, flushed to the disk where they must survive a power cut. */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { HostError, TslxcError } from '../lib/errors.ts'

const OWNER_ONLY_FILE = 0o600
const OWNER_ONLY_DIR = 0o700
let sequence = 0

// Alone what waits for the disk goes through the thread pool: for small files that costs more than the call itself.
const flush = promisify(fsync)

/**
 * Replaces a file as a whole, or leaves it as it was; on return it is on the disk. Keeps the owner and mode of a file
 * that is there; a new one is 0600 unless `mode` says otherwise. A symlink at `path` is replaced, not followed.
 *
 * Not write-file-atomic: it issues one write(2) and ignores a short one, so a full disk leaves a truncated file.
 * @throws HostError `no-space` or `permission`
 */
export async function writeDurable(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${sequence++}.tmp`)
  try {
    const present = ownerAndMode(path)
    const file = openSync(temporary, 'wx', OWNER_ONLY_FILE)
    try {
      writeFileSync(file, content)
      if (present !== undefined) fchownSync(file, present.uid, present.gid)
      fchmodSync(file, mode ?? present?.mode ?? OWNER_ONLY_FILE)
      await flush(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    await syncDir(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fileError('write', path, error)
  }
}

const TEMPORARY = /^.+\.(\d+)\.\d+\.tmp$/

/** Removes what commands that died have left of files they were writing in a directory. */
export async function removeStaleTemporaries(dir: string): Promise<void> {
  for (const name of readdirSync(dir)) {
    const pid = TEMPORARY.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(dir, name), { force: true })
  }
}

/** `writeDurable` of indented JSON with a final newline. */
export async function writeJson(path: string, value: unknown, mode?: number): Promise<void> {
  await writeDurable(path, jsonText(value), mode)
}

export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/**
 * Replaces a file as a whole, or leaves it as it was, without a flush: for many files at once, which `syncFileSystem`
 * brings to the disk together. A new file is 0600.
 * @throws HostError `no-space` or `permission`
 */
export function writeUnflushed(path: string, content: string | Uint8Array): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${sequence++}.tmp`)
  try {
    writeFileSync(temporary, content, { mode: OWNER_ONLY_FILE, flag: 'wx' })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fileError('write', path, error)
  }
}

/** Writes a file, 0600, that nobody looks at yet: neither as a whole nor to the disk. @throws HostError `no-space` or `permission` */
export function writeFirst(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: OWNER_ONLY_FILE })
  } catch (error) {
    throw fileError('write', path, error)
  }
}

/**
 * Replaces a file as a whole, or leaves it as it was. Its content is on the disk on return; its new name follows with
 * what is renamed or removed later in the same file system, not after it: journals of file systems keep that order. Keeps
 * the owner and mode of a file that is there.
 * @throws HostError `no-space` or `permission`
 */
export async function writeOrdered(path: string, content: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${sequence++}.tmp`)
  try {
    const present = ownerAndMode(path)
    writeFileSync(temporary, content, { mode: OWNER_ONLY_FILE, flag: 'wx', flush: true })
    if (present !== undefined) {
      chownSync(temporary, present.uid, present.gid)
      chmodSync(temporary, present.mode)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw fileError('write', path, error)
  }
}

/** Undefined when the file is absent. */
export async function readTextIfPresent(path: string): Promise<string | undefined> {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw fileError('read', path, error)
  }
}

/**
 * A record we wrote ourselves: only its `version` is checked, where one is given.
 * @returns undefined when the file is absent
 * @throws TslxcError `state` when it is no JSON or of another version
 */
export async function readJson<T>(path: string, version?: number): Promise<T | undefined> {
  const text = await readTextIfPresent(path)
  if (text === undefined) return undefined
  let value: T
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TslxcError('state', `cannot read '${path}': it is not JSON`, { cause })
  }
  const found = (value as { readonly version?: unknown } | null)?.version
  if (version !== undefined && found !== version) {
    throw new TslxcError('state', `cannot read '${path}': its version is ${String(found)}, not ${version}`)
  }
  return value
}

/** Makes a directory and its parents; those that are there keep their mode. */
export async function ensureDir(path: string, mode: number = OWNER_ONLY_DIR): Promise<void> {
  try {
    mkdirSync(path, { recursive: true, mode })
  } catch (error) {
    throw fileError('create', path, error)
  }
}

/** On return the new name is on the disk. */
export async function renameDurable(from: string, to: string): Promise<void> {
  try {
    renameSync(from, to)
    await syncDir(dirname(to))
    if (dirname(from) !== dirname(to)) await syncDir(dirname(from))
  } catch (error) {
    throw fileError('rename', from, error)
  }
}

/** Absent is success; on return the removal is on the disk. */
export async function removeFile(path: string): Promise<void> {
  try {
    rmSync(path, { force: true })
    await syncDir(dirname(path))
  } catch (error) {
    if (!isAbsent(error)) throw fileError('remove', path, error)
  }
}

/** fsync of a directory: makes names in it durable. */
export async function syncDir(path: string): Promise<void> {
  const dir = openSync(path, 'r')
  try {
    await flush(dir)
  } finally {
    closeSync(dir)
  }
}

/** Whether an error says that a path, or a part of it, is not there. */
export function isAbsent(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** A failed file call in our words. */
export function fileError(verb: string, path: string, error: unknown): TslxcError {
  if (error instanceof TslxcError) return error
  const message = `cannot ${verb} '${path}'`
  switch (errorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new HostError(`${message}: no space left`, { code: 'no-space', hint: `df -h ${dirname(path)}`, cause: error })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new HostError(`${message}: permission denied`, { code: 'permission', cause: error })
    default:
      return new HostError(`${message}: ${reasonOf(error)}`, { cause: error })
  }
}

// Node's text is `CODE: reason, call 'path'`: the reason alone reads better after our own words.
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return /^[A-Z]+: ([^,]+),/.exec(text)?.[1] ?? text
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function ownerAndMode(path: string): { uid: number; gid: number; mode: number } | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined || !status.isFile()) return undefined
  return { uid: status.uid, gid: status.gid, mode: status.mode & 0o7777 }
}
