/** Which file system a path lies on, by the kernel's own list. */
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { HostError } from '../lib/errors.ts'

export interface FileSystem {
  /** `ext4`, `tmpfs` */
  readonly type: string
  /** What is mounted: `/dev/sda1`, `none`. */
  readonly device: string
  readonly mountPoint: string
}

const OCTAL = /\\([0-7]{3})/g

/** Of a path, or of the nearest directory above it that is there. @throws HostError */
export function fileSystemOf(path: string): FileSystem {
  const wanted = deviceOf(path)
  // The last one covers those before it. proc_pid_mountinfo(5)
  const found = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(parseLine)
    .filter((mount) => mount !== undefined && `${path}/`.startsWith(mount.mountPoint === '/' ? '/' : `${mount.mountPoint}/`))
    .sort((a, b) => (a?.mountPoint.length ?? 0) - (b?.mountPoint.length ?? 0))
  const last = found.findLast((mount) => mount?.number === wanted) ?? found.at(-1)
  if (last === undefined) throw new HostError(`cannot tell the file system of '${path}': it is not in /proc/self/mountinfo`)
  return { type: last.type, device: last.device, mountPoint: last.mountPoint }
}

function deviceOf(path: string): string {
  const status = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (status === undefined) return path === '/' ? '' : deviceOf(dirname(path))
  const { dev } = status
  const [major, minor] = [((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn), (dev & 0xffn) | ((dev >> 12n) & ~0xffn)]
  return `${major}:${minor}`
}

function parseLine(line: string): (FileSystem & { readonly number: string }) | undefined {
  const [before = '', after] = line.split(' - ')
  const [, , number, , mountPoint] = before.split(' ')
  const [type, device] = after?.split(' ') ?? []
  if (number === undefined || mountPoint === undefined || type === undefined || device === undefined) return undefined
  return { number, mountPoint: plain(mountPoint), type, device: plain(device) }
}

const plain = (text: string): string => text.replace(OCTAL, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
