/** What the header of a stream says. */
import { z } from 'zod'
import { unusable } from './transfer-frames.ts'

const header = z.object({
  format: z.literal('tslxc-send'),
  version: z.number().int(),
  /** Whose stream it is: a storage driver. */
  kind: z.string(),
  name: z.string(),
  /** Where the container's directory was. */
  dir: z.string().startsWith('/'),
  /** Texts of record.json and config.yaml. */
  record: z.string().optional(),
  config: z.string(),
  tslxc: z.string(),
  /** The snapshot that was sent, with the text of snapshot.yaml; absent: the container as it was. */
  snapshot: z.object({ name: z.string(), text: z.string() }).optional(),
  /** What the receiver must have. */
  base: z.object({ name: z.string(), identity: z.string().min(1) }).optional(),
})

export type StreamHeader = z.infer<typeof header>

/** @throws TslxcError */
export function readHeader(text: string): StreamHeader {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unusable('its header is malformed')
  }
  const read = header.safeParse(value)
  if (!read.success) throw unusable(`its header is malformed (${read.error.issues[0]?.path.join('.')})`)
  if (read.data.version !== 1) throw unusable(`it has version ${read.data.version}`, 'use a newer tslxc')
  return read.data
}
