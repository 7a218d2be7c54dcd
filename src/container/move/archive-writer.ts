/** The bytes of an archive: what is small from us, trees by GNU tar. */
import { createHash } from 'node:crypto'
import { write } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { HostError, TslxcError } from '../../lib/errors.ts'
import { END_OF_ARCHIVE, fileMember } from '../../lib/tar.ts'
import { type PipedProcess, startPiped } from '../../platform/exec.ts'
import { CHECKSUM } from './archive-format.ts'
import { TreeGuard } from './archive-guard.ts'
import { ArchiveReader } from './archive-reader.ts'

export interface TreeOptions {
  readonly signal?: AbortSignal | undefined
  readonly onBytes: (count: number) => void
  /** For people: a socket that is left out. */
  readonly onNote: (text: string) => void
}

const ATTRIBUTES = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', '--sparse'] as const
// 64 KiB a write.
const BLOCKING = '--blocking-factor=128'

/** Members of a tree as GNU tar writes them, below `top`, without the end of an archive. */
export async function* treeBytes(root: string, top: string, { signal, onBytes, onNote }: TreeOptions): AsyncGenerator<Buffer> {
  const tar = startPiped(
    [
      'tar',
      '--create',
      '--format=posix',
      '--pax-option=delete=atime,delete=ctime',
      BLOCKING,
      ...ATTRIBUTES,
      // Targets of symlinks stay as they are.
      `--transform=flags=rhS;s,^\\.,${top},`,
      `--directory=${root}/`,
      '.',
    ],
    { signal },
  )
  const guard = new TreeGuard(top)
  const reader = new ArchiveReader(tar.stdout as AsyncIterable<Buffer>)
  try {
    for (let member = await reader.next(); member !== undefined; member = await reader.next()) {
      const objection = guard.check(member)
      if (objection !== undefined) throw new TslxcError('state', `cannot export ${objection}`)
      yield member.raw
      for await (const chunk of reader.content()) {
        onBytes(chunk.length)
        yield chunk
      }
    }
    await reader.drain()
    const { stderr } = await tar.ended
    for (const line of stderr.split('\n')) if (line !== '') onNote(line.replace(/^tar: (\.\/)?/, ''))
  } catch (error) {
    tar.kill()
    // A tar that failed knows the reason better than whoever reads what it wrote.
    await tar.ended.catch((failure: unknown) => {
      if (!(error instanceof TslxcError)) throw failure
    })
    throw error
  } finally {
    tar.kill()
    await tar.ended.catch(() => undefined)
  }
}

/** Takes bytes when there is room for them. */
export type Sink = (part: Buffer) => Promise<void>

/** Counts and hashes what goes through, and ends it with the checksum. */
export class Sealer {
  readonly #hash = createHash('sha256')
  readonly #out: Sink
  bytes = 0

  constructor(out: Sink) {
    this.#out = out
  }

  async write(part: Buffer): Promise<void> {
    this.#hash.update(part)
    this.bytes += part.length
    await this.#out(part)
  }

  /** The SHA-256 of all bytes before it. */
  async finish(): Promise<string> {
    const sha256 = this.#hash.digest('hex')
    await this.#out(fileMember(CHECKSUM, Buffer.from(`${JSON.stringify({ sha256, bytes: this.bytes })}\n`)))
    await this.#out(END_OF_ARCHIVE)
    return sha256
  }
}

export type Compression = { readonly kind: 'none' } | { readonly kind: 'zstd'; readonly level: number }

const DEFAULT_LEVEL = 3
const BEST_LEVEL = 19

/** `zstd`, `none` or a level. Undefined: none of these. */
export function parseCompression(text: string): Compression | undefined {
  if (text === 'none') return { kind: 'none' }
  if (text === 'zstd') return { kind: 'zstd', level: DEFAULT_LEVEL }
  const level = /^\d{1,2}$/.test(text) ? Number(text) : 0
  return level >= 1 && level <= BEST_LEVEL ? { kind: 'zstd', level } : undefined
}

export interface Output {
  readonly write: Sink
  /** On return all of it is written. */
  end(): Promise<void>
  abort(): Promise<void>
}

/** To a descriptor. @throws HostError when nobody reads it any more */
export function openOutput(fd: number, compression: Compression, signal?: AbortSignal): Output {
  if (compression.kind === 'none') return { write: (part) => writePart(fd, part), end: async () => undefined, abort: async () => undefined }
  const zstd = startPiped(['zstd', '-q', '-T0', `-${compression.level}`, '-c'], { stdin: 'pipe', signal })
  // Not by zstd itself: it takes a full pipe that does not block for an error.
  const written = (async () => {
    for await (const part of zstd.stdout as AsyncIterable<Buffer>) await writePart(fd, part)
  })()
  written.catch(() => zstd.kill())
  // Why nothing could be written says more than how zstd ended for it.
  const explained = async <T>(action: Promise<T>): Promise<T> => {
    try {
      return await action
    } catch (error) {
      await written
      throw error
    }
  }
  return {
    write: (part) => explained(feed(zstd, part)),
    async end() {
      zstd.stdin?.end()
      await explained(zstd.ended)
      await written
    },
    async abort() {
      zstd.kill()
      await zstd.ended.catch(() => undefined)
    },
  }
}

const readerGone = (cause: unknown) =>
  new HostError('cannot write the stream: whoever read it has gone', { cause, hint: 'look at what the other end says' })
const full = (cause: unknown) =>
  new HostError('cannot write the archive: no space left', { code: 'no-space', hint: 'df -h shows what is full', cause })

/** @throws when the program has ended */
export async function feed({ stdin, ended }: Pick<PipedProcess, 'stdin' | 'ended'>, part: Buffer): Promise<void> {
  if (stdin === undefined || stdin.write(part)) return
  let drained = (): void => undefined
  const room = new Promise<void>((resolve) => {
    drained = () => resolve()
    stdin.once('drain', drained)
  })
  try {
    await Promise.race([room, ended])
  } finally {
    stdin.removeListener('drain', drained)
  }
}

const writeSome = promisify(write)
const FULL_PIPE_MS = 5

export async function writePart(fd: number, part: Buffer): Promise<void> {
  for (let at = 0; at < part.length; ) {
    try {
      at += (await writeSome(fd, part, at, part.length - at, null)).bytesWritten
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') throw readerGone(error)
      if (code === 'ENOSPC' || code === 'EDQUOT') throw full(error)
      if (code !== 'EAGAIN') throw error
      // ssh makes its end of a pipe one that does not block.
      await sleep(FULL_PIPE_MS)
    }
  }
}
