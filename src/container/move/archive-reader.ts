/** Reading a tar stream member by member, with the bytes as they were, so that they can be handed on to tar itself. */
import { createHash } from 'node:crypto'
import { BLOCK, padded, parseHeader, parsePax, TarFormatError, type TarHeader } from '../../lib/tar.ts'

export interface Member {
  /** As tar will use it; latin1. */
  readonly name: string
  /** Target of a link; latin1. */
  readonly link: string
  readonly type: string
  /** Bytes that follow, without padding. */
  readonly size: number
  readonly mode: number
  /** Every other name in the headers, which another reader might take. */
  readonly otherNames: readonly string[]
  /** Names of the extended attributes. */
  readonly keys: readonly string[]
  /** The header, with that of its attributes before it. */
  readonly raw: Buffer
}

/** The stream is over in the middle of something. */
export class TruncatedError extends Error {}

const MOST_PAX_BYTES = 4 * 1024 * 1024
const CHUNK = 256 * 1024

export class ArchiveReader {
  readonly #source: AsyncIterator<Buffer>
  #held: Buffer = Buffer.alloc(0)
  #left = 0
  readonly #hash = createHash('sha256')
  readonly #seal: string | undefined
  #isSealed = false
  /** What the hash covers. */
  bytes = 0

  /** @param seal the member that tells the hash of all before it */
  constructor(source: AsyncIterable<Buffer>, seal?: string) {
    this.#source = source[Symbol.asyncIterator]()
    this.#seal = seal
  }

  /** SHA-256 of all before the seal. To be called once. */
  digest(): string {
    return this.#hash.digest('hex')
  }

  /**
   * The next one; undefined at the end. The content of the one before must have been read.
   * @throws TarFormatError · TruncatedError
   */
  async next(): Promise<Member | undefined> {
    const block = await this.#exactly(BLOCK)
    const header = parseHeader(block)
    if (header === undefined) return undefined
    if (header.type !== 'x') return this.#member(header, new Map(), [block])
    if (header.size > MOST_PAX_BYTES) throw new TarFormatError('extended attributes of a header are too large')
    const pax = await this.#exactly(padded(header.size))
    const own = await this.#exactly(BLOCK)
    const described = parseHeader(own)
    if (described === undefined || described.type === 'x') throw new TarFormatError('extended attributes belong to nothing')
    return this.#member(described, parsePax(pax.subarray(0, header.size)), [block, pax, own])
  }

  #member(header: TarHeader, pax: Map<string, Buffer>, raw: Buffer[]): Member {
    const value = (key: string): string | undefined => pax.get(key)?.toString('latin1')
    const names = [value('GNU.sparse.name'), value('path'), header.name].filter((name) => name !== undefined)
    const said = value('size')
    if (said !== undefined && !/^\d{1,15}$/.test(said)) throw new TarFormatError('a size is no number')
    const size = said === undefined ? header.size : Number(said)
    this.#left = padded(size)
    const [name = '', ...otherNames] = names
    this.#isSealed ||= name === this.#seal
    for (const part of raw) this.#count(part)
    return {
      name,
      otherNames,
      link: value('linkpath') ?? header.link,
      type: header.type,
      size,
      mode: header.mode,
      keys: [...pax.keys()],
      raw: Buffer.concat(raw),
    }
  }

  /** The content of the member that `next` gave, with its padding. */
  async *content(): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const chunk = await this.#atMost(Math.min(this.#left, CHUNK))
      this.#left -= chunk.length
      this.#count(chunk)
      yield chunk
    }
  }

  /** The content of a small member. @throws TarFormatError */
  async whole({ size, name }: Member, most: number): Promise<Buffer> {
    if (size > most) throw new TarFormatError(`'${name}' is too large`)
    const chunks: Buffer[] = []
    for await (const chunk of this.content()) chunks.push(chunk)
    return Buffer.concat(chunks).subarray(0, size)
  }

  /** To the end of the stream, so that whoever writes it comes to its end. */
  async drain(): Promise<void> {
    this.#held = Buffer.alloc(0)
    while (!(await this.#source.next()).done);
  }

  /** Lets go of the stream before its end. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  #count(part: Buffer): void {
    if (this.#isSealed) return
    this.#hash.update(part)
    this.bytes += part.length
  }

  async #fill(): Promise<boolean> {
    const { value, done } = await this.#source.next()
    if (done === true) return false
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value])
    return true
  }

  async #atMost(count: number): Promise<Buffer> {
    while (this.#held.length === 0) if (!(await this.#fill())) throw new TruncatedError()
    const taken = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(taken.length)
    return taken
  }

  async #exactly(count: number): Promise<Buffer> {
    while (this.#held.length < count) if (!(await this.#fill())) throw new TruncatedError()
    return await this.#atMost(count)
  }
}
