/** Files that people put beside config.yaml: hooks, an fstab, included configurations. A copy has its own. */
import { copyFileSync, lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { throwIfAborted } from '../../lib/abort.ts'
import { fileError } from '../../platform/files.ts'
import { copyTree } from '../../platform/trees.ts'
import type { Volume } from '../../storage/driver.ts'
import { type Container, entriesOf, type StoreContext } from '../store.ts'
import { movedPaths, type SourceConfig } from './clone-config.ts'

/** Made anew for a copy, or of no use to it. */
const OURS: readonly string[] = ['config.yaml', 'record.json', 'volume.json', 'spec.json', 'seccomp.bpf', 'snaps', 'volumes', 'mounts']
const OURS_TOO = /^\.|\.log(\.\d+)?$|^(creating|pending|destroying|host-mounts)\.(json|yaml)$|\.tmp$|^rootfs(\.\w+)?$|^overlay$|^rootdev$/

/** Whether an entry of a container's directory is one that people put there. */
export const isOwnFile = (entry: string): boolean => !OURS.includes(entry) && !OURS_TOO.test(entry)

const MOST_TEXT_BYTES = 1024 * 1024

export interface OwnFiles {
  readonly source: SourceConfig
  readonly volume?: Volume | undefined
  /** Below the source's directory. */
  readonly named: readonly string[]
}

/** Single files all, directories where the configuration names something in them. */
export async function copyOwnFiles({ paths, signal }: StoreContext, { source, volume, named }: OwnFiles, to: Container): Promise<void> {
  const inVolume = JSON.stringify(volume ?? '')
  const firsts = new Set(named.map((path) => relative(source.dir, path).split('/')[0]))
  for (const entry of entriesOf(source.dir)) {
    const from = join(source.dir, entry)
    if (!isOwnFile(entry) || inVolume.includes(`${from}"`) || inVolume.includes(`${from}/`)) continue
    throwIfAborted(signal)
    const stats = lstatSync(from)
    if (stats.isSymbolicLink()) symlinkSync(movedPaths(readlinkSync(from), source, to), join(to.dir, entry))
    else if (stats.isFile()) copyOwnFile(from, join(to.dir, entry), source, to)
    else if (stats.isDirectory() && firsts.has(entry)) {
      mkdirSync(join(to.dir, entry), { mode: stats.mode & 0o7777 })
      await copyTree(paths, from, join(to.dir, entry), { signal })
    }
  }
}

/** After the directory of a container was renamed. Done twice it does nothing more. */
export function moveOwnFiles(from: Container, to: Container): void {
  for (const entry of entriesOf(to.dir)) {
    const path = join(to.dir, entry)
    if (isOwnFile(entry) && lstatSync(path).isFile()) moveText(path, from, to)
  }
}

/** A configuration or an fstab names places below the container's directory. */
function copyOwnFile(from: string, to: string, source: SourceConfig, container: Container): void {
  try {
    copyFileSync(from, to)
    moveText(to, source, container)
  } catch (error) {
    throw fileError('copy', from, error)
  }
}

/** A small text's paths below one container's directory become those below another's. */
export function moveText(path: string, from: Pick<SourceConfig, 'name' | 'dir'>, to: Container): void {
  const { size, mode } = statSync(path)
  if (size > MOST_TEXT_BYTES || (mode & 0o111) !== 0) return
  const text = readFileSync(path, 'utf8')
  const moved = movedPaths(text, from, to)
  if (moved !== text && !text.includes('\0')) writeFileSync(path, moved)
}
