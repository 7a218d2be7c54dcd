/**
 * The form of what `send` writes: a mark, then frames of one byte for the kind, four for the length (big endian), and the
 * content: `H` header, `D` data of the store's own program, `E` end with the SHA-256 of all before it.
 */
import { createHash } from 'node:crypto'
import { TslxcError } from '../../lib/errors.ts'
import type { Sink } from './archive-writer.ts'

export const MARK = Buffer.from('tslxc-send 1\n')
const HEAD_BYTES = 5
const MOST_FRAME_BYTES = 16 * 1024 * 1024

export type Kind = 'H' | 'D' | 'E'

export const frame = (kind: Kind, content: Buffer): Buffer => {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(kind, 'latin1')
  head.writeUInt32BE(content.length, 1)
  return Buffer.concat([head, content])
}

export const unusable = (reason: string, hint = 'send it again'): TslxcError =>
  new TslxcError('state', `cannot receive the stream: ${reason}`, { hint })

export class FrameWriter {
  readonly #hash = createHash('sha256')
  readonly #out: Sink
  bytes = 0

  constructor(out: Sink) {
    this.#out = out
  }

  async begin(header: unknown): Promise<void> {
    await this.#put(MARK)
    await this.#put(frame('H', Buffer.from(JSON.stringify(header))))
  }

  async data(content: Buffer): Promise<void> {
    this.bytes += content.length
    await this.#put(frame('D', content))
  }

  async end(): Promise<string> {
    const sha256 = this.#hash.digest('hex')
    await this.#out(frame('E', Buffer.from(JSON.stringify({ sha256 }))))
    return sha256
  }

  async #put(part: Buffer): Promise<void> {
    this.#hash.update(part)
    await this.#out(part)
  }
}

export class FrameReader {
  readonly #source: AsyncIterator<Buffer>
  readonly #hash = createHash('sha256')
  #held: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The content of the header. @throws TslxcError */
  async header(): Promise<Buffer> {
    const mark = await this.#exactly(MARK.length)
    if (!mark.equals(MARK)) throw unusable('it is none that tslxc send has written', 'tslxc send NAME | tslxc receive')
    this.#hash.update(mark)
    const { kind, content } = await this.#frame()
    if (kind !== 'H') throw unusable('it does not begin with a header')
    return content
  }

  /** To the end, which is checked before it returns. @throws TslxcError */
  async *data(): AsyncGenerator<Buffer> {
    for (;;) {
      const { kind, content } = await this.#frame()
      if (kind === 'D') yield content
      else if (kind === 'E') return this.#finish(content)
      else throw unusable('it has two headers')
    }
  }

  #finish(content: Buffer): void {
    let said: unknown
    try {
      said = (JSON.parse(content.toString('utf8')) as { sha256?: unknown }).sha256
    } catch {
      throw unusable('its end is malformed')
    }
    if (said !== this.#hash.digest('hex')) throw unusable('its content is not what its checksum says')
  }

  async #frame(): Promise<{ readonly kind: string; readonly content: Buffer }> {
    const head = await this.#exactly(HEAD_BYTES)
    const kind = head.toString('latin1', 0, 1)
    const length = head.readUInt32BE(1)
    if (!['H', 'D', 'E'].includes(kind) || length > MOST_FRAME_BYTES) throw unusable('it is damaged')
    const content = await this.#exactly(length)
    if (kind !== 'E') this.#hash.update(head).update(content)
    return { kind, content }
  }

  async #exactly(count: number): Promise<Buffer> {
    const parts = [this.#held]
    let length = this.#held.length
    while (length < count) {
      const { value, done } = await this.#source.next()
      if (done === true) throw unusable('it is cut off')
      parts.push(value)
      length += value.length
    }
    const all = Buffer.concat(parts)
    this.#held = all.subarray(count)
    return all.subarray(0, count)
  }
}
