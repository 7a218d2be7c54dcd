import { describe, expect, it } from 'vitest'
import { FrameReader, FrameWriter } from '../../../src/container/move/transfer-frames.ts'

async function written(...parts: string[]): Promise<Buffer> {
  const out: Buffer[] = []
  const writer = new FrameWriter(async (part) => void out.push(Buffer.from(part)))
  await writer.begin({ name: 'web' })
  for (const part of parts) await writer.data(Buffer.from(part))
  await writer.end()
  return Buffer.concat(out)
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(bytes: Buffer, size = 7): Promise<string> {
  const reader = new FrameReader(inPieces(bytes, size))
  expect(JSON.parse((await reader.header()).toString())).toEqual({ name: 'web' })
  let text = ''
  for await (const part of reader.data()) text += part.toString()
  return text
}

describe('frames', () => {
  it.each([1, 7, 4096])('read what was written, in pieces of %d bytes', async (size) => {
    expect(await read(await written('one', 'two', ''), size)).toBe('onetwo')
  })

  it('every shorter stream is cut off', async () => {
    const whole = await written('one')
    for (let length = 0; length < whole.length; length++) await expect(read(whole.subarray(0, length))).rejects.toThrow('it is cut off')
  })

  it('every changed byte is found', async () => {
    const whole = await written('one')
    for (let at = 0; at < whole.length; at++) {
      const bad = Buffer.from(whole)
      bad[at] = (bad[at] ?? 0) ^ 1
      await expect(read(bad)).rejects.toThrow()
    }
  })
})
