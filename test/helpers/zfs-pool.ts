/** A zfs-fuse daemon with a pool on a file, in the mount namespace of the tests: its socket and lock are hidden from all others. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
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
  /** Writes out what waits: what is used is counted then. */
  writeOut(): void
  /** Names of all datasets and snapshots. */
  datasets(): string[]
  remove(): Promise<void>
}

export async function makeZfsPool(sizeMiB = 1024): Promise<ZfsPool> {
  const dir = mkdtempSync('/var/tmp/tslxc-zfs-')
  const name = `tslxc${process.pid}`
  const disk = join(dir, 'disk')
  const tool = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
  for (const path of PRIVATE) {
    mkdirSync(path, { recursive: true })
    tool('mount', '-t', 'tmpfs', 'tslxc', path)
  }
  // It ends with the process of the test, however that ends.
  const options = ['--no-daemon', '--enable-xattr', '--no-kstat-mount']
  const daemon = spawn('setpriv', ['--pdeathsig', 'KILL', 'zfs-fuse', ...options], { stdio: 'ignore', cwd: '/' })
  const remove = async (): Promise<void> => {
    try {
      tool('zpool', 'destroy', '-f', name)
    } catch {
      // A test may have done it.
    }
    await end(daemon)
    for (const path of PRIVATE) tool('umount', path)
    rmSync(dir, { recursive: true, force: true })
  }
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
    // A change of a property waits for the transaction group.
    writeOut: () => void tool('zfs', 'set', 'tslxc:written=on', `${name}/lxc`),
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

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return
  const ended = once(daemon, 'exit')
  daemon.kill()
  const timer = setTimeout(() => daemon.kill('SIGKILL'), 5000)
  await ended
  clearTimeout(timer)
}
