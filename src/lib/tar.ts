/** Headers of tar archives in the form of POSIX.1-2001 (pax), as GNU tar writes them. Pure. */

export const BLOCK = 512

/** Names are the bytes as latin1: file names need not be UTF-8. */
export interface TarHeader {
  readonly name: string
  readonly link: string
  /** `0` file, `1` hard link, `2` symlink, `3` `4` devices, `5` directory, `6` fifo, `x` `g` attributes of what follows. */
  readonly type: string
  readonly size: number
  /** Permissions. */
  readonly mode: number
}

/** Why something is no archive of that form. */
export class TarFormatError extends Error {}

/** Undefined for the block of zeros that ends an archive. @throws TarFormatError */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  if (block.toString('latin1', 257, 262) !== 'ustar') throw new TarFormatError('a header is not of the form ustar')
  if (number(block, 148, 8) !== checksum(block)) throw new TarFormatError('the checksum of a header is wrong')
  const prefix = text(block, 345, 155)
  const name = text(block, 0, 100)
  // GNU's own variant has other things in the place of the prefix.
  const isPosix = block.toString('latin1', 257, 265) === 'ustar\x0000'
  return {
    name: isPosix && prefix !== '' ? `${prefix}/${name}` : name,
    link: text(block, 157, 100),
    type: block[156] === 0 ? '0' : String.fromCharCode(block[156] ?? 0),
    size: number(block, 124, 12),
    mode: number(block, 100, 8) & 0o7777,
  }
}

const checksum = (block: Buffer): number => block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0)

function text(block: Buffer, at: number, length: number): string {
  const field = block.toString('latin1', at, at + length)
  const end = field.indexOf('\0')
  return end === -1 ? field : field.slice(0, end)
}

function number(block: Buffer, at: number, length: number): number {
  if (((block[at] ?? 0) & 0x80) !== 0) {
    // GNU's: big endian, behind a first bit that says so.
    const value = block.subarray(at + 1, at + length).reduce((sum, byte) => sum * 256 + byte, 0)
    if (block[at] === 0x80 && Number.isSafeInteger(value)) return value
    throw new TarFormatError('a number in a header is too large')
  }
  const digits = text(block, at, length).trim()
  if (!/^[0-7]*$/.test(digits)) throw new TarFormatError('a header has something else where a number is expected')
  return Number.parseInt(digits || '0', 8)
}

/** The records of an `x` member. Values are bytes. @throws TarFormatError */
export function parsePax(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < data.length; ) {
    const blank = data.indexOf(0x20, at)
    const length = blank === -1 ? Number.NaN : Number(data.toString('latin1', at, blank))
    const end = at + length
    if (!Number.isSafeInteger(length) || length < 5 || end > data.length || data[end - 1] !== 0x0a) {
      throw new TarFormatError('extended attributes of a header are malformed')
    }
    const equals = data.indexOf(0x3d, blank)
    if (equals === -1 || equals >= end) throw new TarFormatError('extended attributes of a header are malformed')
    const key = data.toString('latin1', blank + 1, equals)
    if (records.has(key)) throw new TarFormatError(`a header has the attribute ${JSON.stringify(key)} twice`)
    records.set(key, data.subarray(equals + 1, end - 1))
    at = end
  }
  return records
}

export const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK

/** A regular file of root's, 0600, whole with its content. The name has at most 100 bytes. */
export function fileMember(name: string, content: Uint8Array, mode = 0o600): Buffer {
  const block = Buffer.alloc(BLOCK + padded(content.length))
  const octal = (value: number, at: number, length: number) => block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  block.write(name, 0, 100, 'latin1')
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(content.length, 124, 12)
  octal(Math.floor(Date.now() / 1000), 136, 12)
  block.write('0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(checksum(block.subarray(0, BLOCK)), 148, 7)
  block.set(content, BLOCK)
  return block
}

/** What an archive ends with. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)
