/** A zfs-fuse daemon with a pool on a file, in the mount namespace of the tests: its socket and lock are hidden from all others. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PRIVATE = ['/run/lock/zfs', '/run/zfs', '/var/lib/zfs']

export interface ZfsPool {
  readonly name: string
  /** Only root gets there. */
  readonly dir: string
  /** The file that the pool is on. */
  readonly disk: string
  zfs(...args: string[]): string
  zpool(...args: string[]): string
  /** Names of all datasets and snapshots. */
  datasets(): string[]
  remove(): Promise<void>
}

export async function makeZfsPool(sizeMiB = 1024): Promise<ZfsPool> {
  const dir = mkdtempSync('/var/tmp/tslxc-zfs-')
  const name = `tslxc${process.pid}`
  const disk = join(dir, 'disk')
  const pidFile = join(dir, 'pid')
  const tool = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
  for (const path of PRIVATE) {
    mkdirSync(path, { recursive: true })
    tool('mount', '-t', 'tmpfs', 'tslxc', path)
  }
  const remove = async (): Promise<void> => {
    try {
      tool('zpool', 'destroy', '-f', name)
    } catch {
      // A test may have done it.
    }
    await end(Number(readFileSync(pidFile, 'utf8')))
    for (const path of PRIVATE) tool('umount', path)
    rmSync(dir, { recursive: true, force: true })
  }
  execFileSync('zfs-fuse', ['--pidfile', pidFile, '--enable-xattr', '--no-kstat-mount'], { stdio: 'ignore', cwd: '/' })
  writeFileSync(disk, '')
  truncateSync(disk, sizeMiB * 1024 * 1024)
  for (let round = 0; round < 100 && !answers(tool); round++) await sleep(50)
  tool('zpool', 'create', '-m', 'none', '-o', 'cachefile=none', name, disk)
  tool('zfs', 'create', `${name}/lxc`)
  return {
    name,
    dir,
    disk,
    zfs: (...args) => tool('zfs', ...args),
    zpool: (...args) => tool('zpool', ...args),
    datasets: () => tool('zfs', 'list', '-H', '-t', 'all', '-o', 'name', '-r', name).trim().split('\n').sort(),
    remove,
  }
}

function answers(tool: (program: string, ...args: string[]) => string): boolean {
  try {
    tool('zpool', 'list')
    return true
  } catch {
    return false
  }
}

async function end(pid: number): Promise<void> {
  try {
    process.kill(pid)
    for (let round = 0; round < 100; round++) {
      process.kill(pid, 0)
      await sleep(50)
    }
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone.
  }
}
