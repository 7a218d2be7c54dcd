/** Streams of btrfs-send(8). */
import { lstatSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HostError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { Volume, VolumeStream } from './driver.ts'

interface Subvolume extends Volume {
  readonly driver: 'btrfs'
}

const TIMEOUT_MS = 60_000
/** Inode of the root of a subvolume. */
const ROOT_INODE = 256

export const btrfsStream: VolumeStream<Subvolume> = {
  async obstacle({ path }) {
    const { stdout } = await run(['btrfs', 'subvolume', 'list', '-o', path], { timeoutMs: TIMEOUT_MS })
    const inner = stdout.split('\n').find((line) => line !== '')
    return inner === undefined ? undefined : `subvolumes inside it, as '${/ path (.*)$/.exec(inner)?.[1]}', are left out by btrfs send`
  },
  async identity({ path }) {
    const { stdout } = await run(['btrfs', 'subvolume', 'show', path], { timeoutMs: TIMEOUT_MS })
    const value = (key: string): string | undefined => new RegExp(`^\\s*${key}:\\s*(\\S+)`, 'm').exec(stdout)?.[1]
    const received = value('Received UUID')
    return received === undefined || received === '-' ? (value('UUID') ?? '') : received
  },
  sender: ({ path }, base) => ['btrfs', '-q', 'send', ...(base === undefined ? [] : ['-p', base.path]), path],
  // It has the name that it had where it was sent.
  receiver: async (as) => ({ argv: ['btrfs', '-q', 'receive', '-e', as.dir], made: { driver: 'btrfs', path: join(as.dir, as.name) } }),
  async received({ path }) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory() === true && found.ino === ROOT_INODE) return
    throw new HostError(`cannot receive '${path}': the stream made no such subvolume`, { hint: `ls ${dirname(path)}` })
  },
}
