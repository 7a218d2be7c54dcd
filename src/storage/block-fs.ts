/** File systems on block devices and in image files: ext4, xfs and btrfs. */
import { CommandError, HostError, UsageError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import { loadAddon } from '../platform/addon.ts'
import { run, which } from '../platform/exec.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'

type FsPaths = Pick<Paths, 'installRoot'>

interface Kind {
  /** Of Debian. */
  readonly package: string
  /** For a device or an image file that may hold something already. */
  readonly make: readonly [tool: string, ...args: string[]]
  /** Two with one UUID can't be mounted at the same time. */
  readonly uuidCounts: boolean
}

const KINDS = {
  ext4: { package: 'e2fsprogs', make: ['mkfs.ext4', '-q', '-F', '-m', '0'], uuidCounts: false },
  xfs: { package: 'xfsprogs', make: ['mkfs.xfs', '-q', '-f'], uuidCounts: true },
  btrfs: { package: 'btrfs-progs', make: ['mkfs.btrfs', '-q', '-f'], uuidCounts: true },
} as const satisfies Record<string, Kind>

const TIMEOUT_MS = 600_000

/** @throws UsageError with the types there are */
export function checkFstype(fstype: string): keyof typeof KINDS {
  if (Object.hasOwn(KINDS, fstype)) return fstype as keyof typeof KINDS
  throw new UsageError(`cannot use the file system '${fstype}': there is ${Object.keys(KINDS).join(', ')}`)
}

/** Overwrites what is there. @throws HostError without its tools; CommandError when it refuses, as for a size that is too small */
export async function makeFilesystem(target: string, fstype: string, signal?: AbortSignal): Promise<void> {
  const { make } = KINDS[checkFstype(fstype)]
  await runTool(fstype, [...make, target], signal)
}

/** Can two with one UUID not be mounted at the same time. */
export const sharesUuid = (fstype: string): boolean => Object.hasOwn(KINDS, fstype) && KINDS[checkFstype(fstype)].uuidCounts

/**
 * Makes a copied file system one of its own, so that it can be mounted beside the original. Does nothing where that is no
 * matter. The copy may be of one that was mounted.
 */
export async function renewUuid(paths: FsPaths, target: string, fstype: string): Promise<void> {
  if (!sharesUuid(fstype)) return
  if (fstype === 'btrfs') return await runTool(fstype, ['btrfstune', '-f', '-m', target])
  // What is in the log has to be written first, and of a copy of a mounted one there always is something.
  await withDetachedMount(paths, { kind: 'fs', type: fstype, source: target, options: 'nouuid' }, async () => undefined)
  await runTool(fstype, ['xfs_admin', '-U', 'generate', target])
}

/** To the size of its device, also while it is in use: `root` is where it is mounted. */
export async function growFilesystem(paths: FsPaths, root: string, sizeBytes: number): Promise<void> {
  await loadAddon(paths.installRoot).growFilesystem(root, sizeBytes)
}

/**
 * Before its device is made smaller. Only ext4 can, and only when it is not in use; it is checked first.
 * @throws HostError when that is not possible, or the content is larger
 */
export async function shrinkFilesystem(
  target: string,
  fstype: string,
  size: { readonly from: number; readonly to: number },
): Promise<void> {
  const what = `cannot shrink '${target}' from ${printSizeRounded(size.from)} to ${printSizeRounded(size.to)}`
  if (fstype !== 'ext4') {
    throw new HostError(`${what}: only ext4 can shrink, this is ${fstype}`, { hint: 'tslxc copy NAME NEW --fssize SIZE' })
  }
  try {
    await runTool(fstype, ['e2fsck', '-f', '-p', target], undefined, [0, 1])
    await runTool(fstype, ['resize2fs', target, `${Math.floor(size.to / KIB)}K`])
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const reason = /in use|busy/i.test(error.stderr) ? 'it is in use' : lastLine(error.stderr)
    throw new HostError(`${what}: ${reason}`, {
      hint: reason === 'it is in use' ? 'tslxc stop NAME' : `resize2fs -P ${target}`,
      cause: error,
    })
  }
}

const KIB = 1024
const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? ''

async function runTool(fstype: string, argv: readonly string[], signal?: AbortSignal, okCodes: readonly number[] = [0]): Promise<void> {
  const tool = argv[0] ?? ''
  if (which(tool) === undefined) {
    throw new HostError(`cannot run '${tool}': it is not installed`, {
      hint: `apt-get install --no-install-recommends ${KINDS[checkFstype(fstype)].package}`,
    })
  }
  await run(argv, { timeoutMs: TIMEOUT_MS, signal, okCodes })
}
