/** Putting the trees of an archive on the disk: GNU tar, where it can reach nothing but the tree. */
import { statfsSync } from 'node:fs'
import { HostError, TslxcError } from '../../lib/errors.ts'
import { END_OF_ARCHIVE } from '../../lib/tar.ts'
import { printSizeRounded } from '../../lib/units.ts'
import { startPiped } from '../../platform/exec.ts'
import { broken, type Tree } from './archive-format.ts'
import { TreeGuard } from './archive-guard.ts'
import type { ArchiveReader, Member } from './archive-reader.ts'
import { feed } from './archive-writer.ts'

const CONFINED = [
  'setpriv',
  '--pdeathsig',
  'KILL',
  '--',
  'unshare',
  '--mount',
  '--net',
  '--pid',
  '--ipc',
  '--uts',
  '--fork',
  '--kill-child',
  '--',
]
/**
 * The tree stays as the working directory, which no path leads out of, while everything else becomes one read-only mount:
 * the programs. A detached mount can't be bound, hence this way round.
 */
const ENTER = `cd "$1" && shift && mount --bind / /mnt && mount -o remount,bind,ro /mnt &&
if mountpoint -q /usr; then mount --bind /usr /mnt/usr && mount -o remount,bind,ro /mnt/usr; fi &&
pivot_root /mnt /mnt/mnt && mount -t proc -o ro proc /proc && umount -l /mnt && umount /proc && exec "$@"`
const TAR = ['tar', '--extract', '--numeric-owner', '--same-owner', '--same-permissions', '--xattrs', '--xattrs-include=*', '--acls']
/** Room for names, holes and attributes that a tree's own numbers don't count. */
const BYTES_AN_ENTRY = 4096
const SLACK_BYTES = 1024 * 1024

export interface Extraction {
  readonly reader: ArchiveReader
  /** Of the tree, the first one. */
  readonly member: Member
  readonly top: string
  readonly declared: Tree
  readonly signal?: AbortSignal | undefined
  readonly onProgress: () => void
}

/**
 * Extracts the members of one tree into an empty directory; the first member behind it, if there is one.
 * @throws TslxcError that says what is wrong with the archive; HostError `no-space`
 */
export async function extractTree(
  root: string,
  { reader, member: first, top, declared, signal, onProgress }: Extraction,
): Promise<Member | undefined> {
  requireSpace(root, declared)
  const tar = startPiped([...CONFINED, 'sh', '-c', ENTER, 'sh', `${root}/`, ...TAR, `--transform=flags=rhS;s,^${top},.,`, '--file=-'], {
    stdin: 'pipe',
    stdout: 'ignore',
    signal,
  })
  const guard = new TreeGuard(top)
  try {
    let member: Member | undefined = first
    for (; member !== undefined && guard.holds(member); member = await reader.next()) {
      const objection = guard.check(member) ?? excess(guard, declared)
      if (objection !== undefined) throw broken(objection, 'do not trust whoever made it')
      await feed(tar, member.raw)
      for await (const chunk of reader.content()) await feed(tar, chunk)
      onProgress()
    }
    await feed(tar, END_OF_ARCHIVE)
    tar.stdin?.end()
    await tar.ended
    return member
  } catch (error) {
    tar.kill()
    await tar.ended.catch(() => undefined)
    throw inWords(error)
  }
}

function excess({ entries, bytes }: TreeGuard, declared: Tree): string | undefined {
  if (entries > declared.entries + 1) return `it holds more files than the ${declared.entries} that its manifest says`
  const most = declared.apparentBytes + declared.entries * BYTES_AN_ENTRY + SLACK_BYTES
  return bytes > most ? `it holds more than the ${printSizeRounded(declared.apparentBytes)} that its manifest says` : undefined
}

function requireSpace(root: string, { usedBytes, entries }: Tree): void {
  const { bavail, bsize, ffree, files } = statfsSync(`${root}/`)
  const free = bavail * bsize
  if (usedBytes > free) {
    throw noSpace(`it needs ${printSizeRounded(usedBytes)}, and ${printSizeRounded(free)} are free`)
  }
  // Where their number is fixed.
  if (files > 0 && ffree > 0 && entries > ffree) throw noSpace(`it holds ${entries} files, and there is room for ${ffree}`)
}

const noSpace = (reason: string, cause?: unknown): HostError =>
  new HostError(`cannot import the archive: ${reason}`, {
    code: 'no-space',
    hint: 'make room, or pass a larger --fssize or another -B',
    cause,
  })

function inWords(error: unknown): unknown {
  if (!(error instanceof TslxcError) || error.code !== 'command') return error
  if (/No space left|Disk quota exceeded|Wrote only \d+ of/.test(error.message)) return noSpace('no space left', error)
  return new HostError(`cannot import the archive: ${error.message.replace(/^.*?: /, '').split('\n')[0]}`, { cause: error })
}
