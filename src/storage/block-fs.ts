/** File systems on block devices and in image files: ext4, xfs and btrfs. */
import { statSync } from 'node:fs'
import { chmod, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, HostError, UsageError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import { loadAddon } from '../platform/addon.ts'
import { run, which } from '../platform/exec.ts'
import type { MountSource } from '../platform/mount-source.ts'
import { withDetachedMount } from '../platform/mounts.ts'
import type { Paths } from '../platform/paths.ts'

type FsPaths = Pick<Paths, 'installRoot'>

interface Kind {
  /** Of Debian. */
  readonly package: string
  /** For a device or an image file that may hold something already. */
  readonly make: readonly [tool: string, ...args: string[]]
}

const KINDS = {
  // The checksums' seed apart from the UUID, which can then be changed at once; nothing kept for root; the rest of the
  // inode tables is written later, by the kernel.
  ext4: { package: 'e2fsprogs', make: ['mkfs.ext4', '-q', '-F', '-m', '0', '-O', 'metadata_csum_seed', '-E', 'lazy_itable_init=1'] },
  xfs: { package: 'xfsprogs', make: ['mkfs.xfs', '-q', '-f'] },
  btrfs: { package: 'btrfs-progs', make: ['mkfs.btrfs', '-q', '-f'] },
} as const satisfies Record<string, Kind>

const MAGICS = [
  ['ext4', 0x438, Buffer.from([0x53, 0xef])],
  ['xfs', 0, Buffer.from('XFSB')],
  ['btrfs', 0x10040, Buffer.from('_BHRfS_M')],
] as const

const ROOTFS_MODE = 0o755
const TIMEOUT_MS = 600_000

/** @throws UsageError with the types there are */
export function checkFstype(fstype: string): keyof typeof KINDS {
  if (Object.hasOwn(KINDS, fstype)) return fstype as keyof typeof KINDS
  throw new UsageError(`cannot use the file system '${fstype}': there is ${Object.keys(KINDS).join(', ')}`)
}

/** Undefined: the tools to make it are there. */
export function missingTools(fstype: string): { readonly reason: string; readonly hint: string } | undefined {
  const { make, package: name } = KINDS[checkFstype(fstype)]
  if (which(make[0]) !== undefined) return undefined
  return { reason: `'${make[0]}' is not installed`, hint: `apt-get install --no-install-recommends ${name}` }
}

/** An empty one, root's, 0755. Overwrites what is there. @throws HostError without its tools; CommandError when it refuses, as for a size that is too small */
export async function makeFilesystem(paths: FsPaths, target: string, fstype: string, signal?: AbortSignal): Promise<void> {
  const { make } = KINDS[checkFstype(fstype)]
  await runTool(fstype, [...make, target], signal)
  await withDetachedMount(paths, sourceAt(target, fstype), prepareRoot)
}

/** What mkfs leaves in it is not the guest's; e2fsck makes it anew when it is needed. */
async function prepareRoot(root: string): Promise<void> {
  await rm(join(root, 'lost+found'), { recursive: true, force: true })
  await chmod(root, ROOTFS_MODE)
}

/** Of a device or an image file, by its superblock; undefined: none that we know. */
export async function fstypeOf(target: string): Promise<keyof typeof KINDS | undefined> {
  const file = await open(target, 'r')
  try {
    for (const [fstype, offset, magic] of MAGICS) {
      const { buffer } = await file.read(Buffer.alloc(magic.length), 0, magic.length, offset)
      if (buffer.equals(magic)) return fstype
    }
    return undefined
  } finally {
    await file.close()
  }
}

/**
 * Makes a copied file system one of its own, so that it can be mounted beside the original. Does nothing where that is no
 * matter. The copy may be of one that was mounted.
 * @param target a device or an image file
 */
export async function renewUuid(paths: FsPaths, target: string, fstype: string): Promise<void> {
  switch (fstype) {
    case 'btrfs':
      await runTool(fstype, ['btrfstune', '-f', '-m', target])
      break
    case 'xfs':
      // What is in the log has to be written first, and of a copy of a mounted one there always is something.
      await withDetachedMount(paths, sourceAt(target, fstype), async () => undefined)
      await runTool(fstype, ['xfs_admin', '-U', 'generate', target])
      break
    case 'ext4':
      // The first replays the journal; the checksums of those we made do not depend on the UUID, so that nothing is rewritten.
      await runTool(fstype, ['e2fsck', '-p', target], undefined, [0, 1])
      await renewExt4(target)
      break
  }
}

async function renewExt4(target: string): Promise<void> {
  const renew = () => runTool('ext4', ['tune2fs', '-U', 'random', target])
  try {
    await renew()
  } catch (error) {
    // One that we did not make. Why, tune2fs says on stdout.
    if (!(error instanceof CommandError)) throw error
    await runTool('ext4', ['e2fsck', '-f', '-p', target], undefined, [0, 1])
    await renew()
  }
}

const sourceAt = (target: string, type: string): MountSource =>
  statSync(target, { throwIfNoEntry: false })?.isFile() === true
    ? { kind: 'loop', file: target, type }
    : { kind: 'block', device: target, type }

/** To the size of its device, also while it is in use: `root` is where it is mounted. */
export async function growFilesystem(paths: FsPaths, root: string, sizeBytes: number): Promise<void> {
  await loadAddon(paths.installRoot).growFilesystem(root, sizeBytes)
}

/** To the size of its device or file, which nobody uses; ext4 only. */
export async function growUnmounted(target: string, fstype: string | undefined): Promise<void> {
  if (fstype !== 'ext4')
    throw new HostError(`cannot grow '${target}': the kernel refuses`, { hint: 'run it as root, with all capabilities' })
  await runTool(fstype, ['e2fsck', '-f', '-p', target], undefined, [0, 1])
  await runTool(fstype, ['resize2fs', target])
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
