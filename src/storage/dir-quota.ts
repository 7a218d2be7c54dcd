/**
 * Limits of directories by project quotas of ext4 and xfs. The quota file of the file system itself tells which project
 * ids are free: those that nothing is charged to and that have no limit.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HostError } from '../lib/errors.ts'
import { printSizeRounded } from '../lib/units.ts'
import { loadAddon, type NativeAddon } from '../platform/addon.ts'
import { ensureDir, isAbsent } from '../platform/files.ts'
import { withLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import { fileSystemOf } from './file-system.ts'

/** Far above what people choose by hand. */
const FIRST_PROJECT = 1_400_000_000
const PROJECTS = 1_000_000

/** Where projects have names and paths: theirs are never taken, whether in use or not. projects(5), projid(5) */
const FILES = ['/etc/projects', '/etc/projid']

type QuotaPaths = Pick<Paths, 'installRoot' | 'allocDir'>

/** True, or why no limit can be set at a place, and what to do. */
export function projectQuota(paths: QuotaPaths, dir: string): true | { readonly reason: string; readonly hint: string } {
  if (loadAddon(paths.installRoot).projectQuotaState(dir) === 'enforced') return true
  const { type, device, mountPoint } = fileSystemOf(dir)
  switch (type) {
    case 'ext4':
      return {
        reason: `project quota is off on the ext4 at '${mountPoint}'`,
        hint: `umount '${mountPoint}' && tune2fs -O project,quota -Q prjquota ${device} && mount -o prjquota ${device} '${mountPoint}'`,
      }
    case 'xfs':
      return {
        reason: `project quota is off on the xfs at '${mountPoint}'`,
        hint: `umount '${mountPoint}' && mount -o pquota ${device} '${mountPoint}'`,
      }
    default:
      return { reason: `directories on ${type} have no quota`, hint: 'leave limits.disk out, or use another storage' }
  }
}

/**
 * Sets the limit of a tree; its project, a new one where it has none.
 * @param bytes undefined: none
 * @throws HostError when more is there, or there is no quota
 */
export async function limitTree(
  paths: QuotaPaths,
  tree: { readonly path: string; readonly projectId?: number },
  bytes: number | undefined,
): Promise<number | undefined> {
  const addon = loadAddon(paths.installRoot)
  const own = ownProject(addon, tree)
  if (bytes === undefined && own === undefined) return undefined
  const quota = projectQuota(paths, tree.path)
  if (quota !== true) throw new HostError(`cannot limit the size of '${tree.path}': ${quota.reason}`, { hint: quota.hint })
  const used = own === undefined ? (await addon.treeUsage(tree.path)).usedBytes : (addon.projectAccount(tree.path, own)?.usedBytes ?? 0)
  if (bytes !== undefined && bytes < used) {
    throw new HostError(`cannot limit the size of '${tree.path}' to ${printSizeRounded(bytes)}: it holds ${printSizeRounded(used)}`, {
      code: 'no-space',
      hint: `du -xh '${tree.path}' | sort -h | tail`,
    })
  }
  if (own !== undefined) {
    addon.setProjectLimit(tree.path, own, bytes ?? 0)
    return own
  }
  return await claimProject(paths, tree.path, bytes ?? 0)
}

/** Gives a tree's limit back before the tree goes: a project without limit and files is free. */
export function releaseProject(addon: NativeAddon, tree: { readonly path: string; readonly projectId?: number }): void {
  const own = ownProject(addon, tree)
  if (own !== undefined) addon.setProjectLimit(tree.path, own, 0)
}

/** Of the record, as long as the tree is still that project's: a restored backup or another disk may be in its place. */
export function ownProject(addon: NativeAddon, tree: { readonly path: string; readonly projectId?: number }): number | undefined {
  if (tree.projectId === undefined || !existsSync(tree.path)) return undefined
  return addon.projectQuotaState(tree.path) !== 'unsupported' && addon.projectOf(tree.path) === tree.projectId ? tree.projectId : undefined
}

/** Its first file is what claims it, so that is charged under the lock. */
async function claimProject(paths: QuotaPaths, path: string, bytes: number): Promise<number> {
  const addon = loadAddon(paths.installRoot)
  const taken = await namedProjects(FILES)
  await ensureDir(paths.allocDir)
  const request = { path: join(paths.allocDir, 'projects.lock'), object: 'the list of quota projects', command: 'tslxc' }
  return await withLock(paths, request, async () => {
    for (let id = FIRST_PROJECT; id < FIRST_PROJECT + PROJECTS; id++) {
      const account = taken.has(id) ? undefined : (addon.projectAccount(path, id) ?? { usedBytes: 0, limitBytes: 0, entries: 0 })
      if (account === undefined || account.usedBytes + account.limitBytes + account.entries > 0) continue
      await addon.setProject(path, id)
      addon.setProjectLimit(path, id, bytes)
      return id
    }
    throw new HostError(`cannot limit the size of '${path}': every quota project is taken`, { hint: `repquota -P '${dirname(path)}'` })
  })
}

/** The numbers in `ID:PATH` and `NAME:ID` lines. */
async function namedProjects(files: readonly string[]): Promise<ReadonlySet<number>> {
  const ids = new Set<number>()
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (isAbsent(error)) return ''
      throw error
    })
    for (const line of text.split('\n')) {
      const [first = '', second = ''] = line.split(':')
      const id = /^\d+$/.test(first) ? first : second
      if (/^\d+$/.test(id)) ids.add(Number(id))
    }
  }
  return ids
}
