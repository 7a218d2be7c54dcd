/**
 * The archive that `export` writes: one tar stream of POSIX.1-2001, through zstd or not, so that `tar` alone can read it.
 *
 *     tslxc-export.json                 the manifest, first
 *     config.yaml  record.json          as they stand beside the root file system
 *     files/NAME                        single files of the container's directory: hooks, an fstab
 *     snapshots/NAME/{snapshot.yaml,config.yaml}
 *     snapshots/NAME/rootfs/            whole, the oldest snapshot first
 *     rootfs/
 *     tslxc-checksum.json               SHA-256 of all bytes before it, last
 */
import * as z from 'zod/mini'
import { TslxcError } from '../../lib/errors.ts'

export const MANIFEST = 'tslxc-export.json'
export const CHECKSUM = 'tslxc-checksum.json'
export const CONFIG = 'config.yaml'
export const RECORD_FILE = 'record.json'
export const ROOTFS = 'rootfs'
export const FILES = 'files/'
export const FORMAT = 'tslxc-export'
export const FORMAT_VERSION = 1
export const MOST_TEXT_BYTES = 1024 * 1024

export const snapshotPath = (snapshot: string): string => `snapshots/${snapshot}`
export const snapshotRootfs = (snapshot: string): string => `${snapshotPath(snapshot)}/${ROOTFS}`

const count = z.int().check(z.nonnegative())
const tree = z.object({
  /** What its blocks take on the disk of the source, where files with several names count once. */
  usedBytes: count,
  /** Sum of the sizes of its files, holes included. */
  apparentBytes: count,
  entries: count,
})

const manifest = z.object({
  format: z.literal(FORMAT),
  version: z.int(),
  name: z.string(),
  /** Where its directory was, for the paths in its configuration. */
  dir: z.string().check(z.startsWith('/')),
  uuid: z.optional(z.string()),
  /** Of the source. */
  driver: z.string(),
  limitBytes: z.optional(count),
  guest: z.optional(z.object({ network: z.string(), init: z.string() })),
  createdAt: z.string(),
  /** Of the program that wrote it. */
  tslxc: z.string(),
  rootfs: z.optional(tree),
  snapshots: z.array(z.object({ name: z.string(), rootfs: tree })),
})

export type Tree = z.infer<typeof tree>
export type Manifest = z.infer<typeof manifest>

const checksum = z.object({ sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)), bytes: count })

/** @throws TslxcError */
export const readManifest = (text: string): Manifest => {
  const value = parse(text)
  const version = (value as { version?: unknown } | undefined)?.version
  if (typeof version === 'number' && version !== FORMAT_VERSION) {
    throw broken(
      `its format has version ${version}, and this program reads ${FORMAT_VERSION}`,
      'use the tslxc that wrote it, or a newer one',
    )
  }
  const read = manifest.safeParse(value)
  if (!read.success) throw broken(`its ${MANIFEST} is malformed (${read.error.issues[0]?.path.join('.')})`)
  return read.data
}

/** @throws TslxcError */
export const readChecksum = (text: string): z.infer<typeof checksum> => {
  const read = checksum.safeParse(parse(text))
  if (!read.success) throw broken(`its ${CHECKSUM} is malformed`)
  return read.data
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An archive or a stream that can't be taken. Its maker must act, not the host. */
export const broken = (reason: string, hint = 'take another copy of it, or export the container again'): TslxcError =>
  new TslxcError('state', `cannot import the archive: ${reason}`, { hint })
