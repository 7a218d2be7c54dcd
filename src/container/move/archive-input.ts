/** Where an archive comes from: a file or a descriptor, compressed or not, which its first bytes tell. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { TslxcError } from '../../lib/errors.ts'
import { TarFormatError } from '../../lib/tar.ts'
import { startPiped } from '../../platform/exec.ts'
import { fileError } from '../../platform/files.ts'
import { broken } from './archive-format.ts'
import { TruncatedError } from './archive-reader.ts'
import { feed } from './archive-writer.ts'

export interface Input {
  readonly parts: AsyncIterable<Buffer>
  /** Of the file; absent where nobody knows. */
  readonly totalBytes?: number
  /** Of the file or the descriptor so far. */
  readonly readBytes: () => number
  /** What the reader of `parts` failed with, in words of whoever knows the reason. */
  explain(error: unknown): Promise<unknown>
  close(): Promise<void>
}

const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** @throws HostError when there is no such file */
export async function openInput(from: string | number, signal?: AbortSignal): Promise<Input> {
  const totalBytes = typeof from === 'string' ? await sizeOf(from) : undefined
  const stream = typeof from === 'string' ? createReadStream(from, { highWaterMark: CHUNK }) : process.stdin
  return await inputOf(stream, { totalBytes, signal })
}

const CHUNK = 256 * 1024

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    throw fileError('import', file, error)
  }
}

interface InputOptions {
  readonly totalBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export async function inputOf(
  stream: AsyncIterable<Buffer> & { destroy(): unknown },
  { totalBytes, signal }: InputOptions,
): Promise<Input> {
  let readBytes = 0
  const iterator = stream[Symbol.asyncIterator]()
  // Whoever sends nothing any more must not keep us from ending.
  signal?.addEventListener('abort', () => stream.destroy(), { once: true })
  const first: Buffer[] = []
  for (let held = 0; held < ZSTD.length; ) {
    const { value, done } = await iterator.next()
    if (done === true) break
    first.push(value)
    held += value.length
  }
  async function* all(): AsyncGenerator<Buffer> {
    for (const part of first) {
      readBytes += part.length
      yield part
    }
    for (let part = await iterator.next(); part.done !== true; part = await iterator.next()) {
      readBytes += part.value.length
      yield part.value
    }
  }
  const common = { readBytes: () => readBytes, ...(totalBytes === undefined ? {} : { totalBytes }) }
  if (!Buffer.concat(first).subarray(0, ZSTD.length).equals(ZSTD)) {
    return { ...common, parts: all(), explain: async (error) => inWords(error), close: async () => void stream.destroy() }
  }
  const zstd = startPiped(['zstd', '-dcq'], { stdin: 'pipe', signal })
  const pumped = (async () => {
    for await (const part of all()) await feed(zstd, part)
    zstd.stdin?.end()
  })()
  pumped.catch(() => undefined)
  return {
    ...common,
    parts: zstd.stdout as AsyncIterable<Buffer>,
    async explain(error) {
      if (!(error instanceof TruncatedError) && !(error instanceof TarFormatError)) return error
      const failure = await zstd.ended.then(() => undefined).catch((reason: unknown) => reason)
      return failure instanceof TslxcError ? inZstd(failure) : inWords(error)
    },
    async close() {
      zstd.kill()
      stream.destroy()
      await zstd.ended.catch(() => undefined)
    },
  }
}

function inZstd(failure: TslxcError): TslxcError {
  if (failure.code !== 'command') return failure
  return /unexpected end|premature/i.test(failure.message)
    ? broken('it is cut off')
    : broken(`zstd can't read it: ${failure.message.replace(/^.*?: /, '').split('\n')[0]}`)
}

function inWords(error: unknown): unknown {
  if (error instanceof TruncatedError) return broken('it is cut off')
  return error instanceof TarFormatError ? broken(error.message) : error
}
