/** What an image is made of, path by path, so that a damaged cache is noticed before it is copied. */
import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { NativeAddon } from '../platform/addon.ts'

export interface Manifest {
  /** A line an entry: path, type, mode, uid, gid, size, SHA-256 of the content or the link's target. Sorted by path. */
  readonly text: string
  /** SHA-256 of the text. */
  readonly digest: string
  readonly entries: number
  readonly sizeBytes: number
}

const TYPES: ReadonlyMap<number, string> = new Map([
  [constants.S_IFDIR, 'd'],
  [constants.S_IFREG, 'f'],
  [constants.S_IFLNK, 'l'],
  [constants.S_IFCHR, 'c'],
  [constants.S_IFBLK, 'b'],
  [constants.S_IFIFO, 'p'],
  [constants.S_IFSOCK, 's'],
])

/** Reads every file below `root`. */
export async function makeManifest(root: string): Promise<Manifest> {
  const lines: string[] = []
  let sizeBytes = 0
  for (const path of await pathsBelow(root)) {
    const full = join(root, path)
    const { mode, uid, gid, size } = await lstat(full)
    const type = TYPES.get(mode & constants.S_IFMT) ?? '?'
    const content = type === 'f' ? await fileDigest(full) : type === 'l' ? await readlink(full) : ''
    if (type === 'f') sizeBytes += size
    const length = type === 'f' ? size : 0
    lines.push([JSON.stringify(path), type, (mode & 0o7777).toString(8), uid, gid, length, JSON.stringify(content)].join(' '))
  }
  const text = `${lines.join('\n')}\n`
  return { text, digest: sha256(text), entries: lines.length, sizeBytes }
}

/**
 * Paths of a manifest's entries to watch. Symbolic links are left out: a stamp is of what a link leads to, perhaps on the host, and a
 * link can't be changed, only replaced, which touches its directory.
 */
export function watchedPaths(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('l', quotedLength(line) + 1))
    .map(pathOf)
}

/** The path in a line of a manifest. */
export function pathOf(line: string): string {
  return JSON.parse(line.slice(0, quotedLength(line))) as string
}

const quotedLength = (line: string): number => /^"(?:[^"\\]|\\.)*"/.exec(line)?.[0].length ?? 0

/**
 * A digest over inode, size, owner, mode and ctime of all paths: equal means that nobody has touched an entry since. The kernel
 * moves ctime at every change of content or metadata, and no program can set it back. inode(7)
 */
export function stampDigest(addon: Pick<NativeAddon, 'stamp'>, root: string, paths: readonly string[]): string {
  const hash = createHash('sha256')
  for (const stamp of addon.stamp(paths.map((path) => join(root, path)))) {
    hash.update(
      stamp === undefined ? 'absent\n' : `${stamp.inode} ${stamp.size} ${stamp.uid} ${stamp.gid} ${stamp.mode} ${stamp.ctimeNs}\n`,
    )
  }
  return hash.digest('hex')
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

async function pathsBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return ['.', ...entries.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))].sort()
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
