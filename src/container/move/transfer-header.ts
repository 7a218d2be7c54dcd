/** What the header of a stream says. */
import * as z from 'zod/mini'
import { unusable } from './transfer-frames.ts'

const header = z.object({
  format: z.literal('tslxc-send'),
  version: z.int(),
  /** Whose stream it is: a storage driver. */
  kind: z.string(),
  name: z.string(),
  /** Where the container's directory was. */
  dir: z.string().check(z.startsWith('/')),
  /** Texts of record.json and config.yaml. */
  record: z.optional(z.string()),
  config: z.string(),
  tslxc: z.string(),
  /** The snapshot that was sent, with the text of snapshot.yaml; absent: the container as it was. */
  snapshot: z.optional(z.object({ name: z.string(), text: z.string() })),
  /** What the receiver must have. */
  base: z.optional(z.object({ name: z.string(), identity: z.string().check(z.minLength(1)) })),
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
