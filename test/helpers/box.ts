/** Containers from one busybox root file system that no template made: config.yaml is all there is. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOk } from './program.ts'
import type { TestRoot } from './root.ts'

export interface Box {
  readonly name: string
  readonly dir: string
  readonly rootfs: string
  /** Start it; fails the test with what was said. */
  start(...options: string[]): Promise<string>
  /** A shell command in its namespaces, by the kernel's own door: attach has tests of its own. Standard output, trimmed. */
  sh(command: string): Promise<string>
  kill(): Promise<void>
  /** A file of /proc/PID of its init. */
  proc(file: string): Promise<string>
  /** Where state.json and monitor.sock are. */
  runDir(): string
  /** Directory of its cgroup of a controller, v1 or v2. */
  cgroup(controller: string): string
}

/** Makes the root file system. */
export function makeRootfs(path: string): void {
  for (const dir of ['bin', 'sbin', 'dev', 'etc', 'proc', 'sys', 'root', 'run', 'tmp', 'var', 'mnt'])
    mkdirSync(join(path, dir), { recursive: true })
  cpSync('/bin/busybox', join(path, 'bin/busybox'))
  for (const applet of [
    'sh',
    'sleep',
    'cat',
    'ls',
    'ip',
    'id',
    'hostname',
    'mount',
    'touch',
    'mkdir',
    'mknod',
    'head',
    'grep',
    'stat',
    'readlink',
    'env',
    'dd',
    'uname',
    'df',
    'kill',
    'rm',
    'tty',
    'test',
    'true',
    'false',
    'seq',
    'echo',
    'chown',
    'tail',
  ])
    symlinkSync('busybox', join(path, 'bin', applet))
  symlinkSync('../bin/busybox', join(path, 'sbin/init'))
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(join(path, 'etc/inittab'), '::sysinit:/bin/true\n::respawn:/bin/sleep 1000\n')
}

export const UNPRIVILEGED = 'idmap: ["b 0 1000000 65536"]\n'

/** A container with a root file system of its own, defined by its keys besides rootfs. */
export function makeBox(root: TestRoot, name: string, config: string, rootfsOptions = ''): Box {
  const dir = join(root.lxcpath, name)
  const rootfs = join(dir, 'rootfs')
  makeRootfs(rootfs)
  const options = rootfsOptions === '' ? '' : `, ${rootfsOptions}`
  writeFileSync(join(dir, 'config.yaml'), `rootfs: { path: "dir:${rootfs}"${options} }\n${config}`, { mode: 0o600 })
  const pid = async (): Promise<string> => (await root.ok('info', '-pH', '-n', name)).trim()
  return {
    name,
    dir,
    rootfs,
    start: (...words) => root.ok('start', ...words, '-n', name),
    sh: async (command) => (await runOk(['nsenter', '-t', await pid(), '-a', '/bin/sh', '-c', command])).trim(),
    kill: async () => void (await root.tslxc('stop', '-k', '-n', name)),
    proc: async (file) => readFileSync(`/proc/${await pid()}/${file}`, 'utf8'),
    runDir: () => runDir(root, name),
    cgroup(controller) {
      const { cgroups } = JSON.parse(readFileSync(join(runDir(root, name), 'state.json'), 'utf8')) as { cgroups: Record<string, string> }
      const found = Object.entries(cgroups).find(([key]) => key.split(',').includes(controller))
      return found?.[1] ?? cgroups.v2 ?? ''
    },
  }
}

function runDir(root: TestRoot, name: string): string {
  const run = join(root.path, 'run/tslxc')
  const id = readdirSync(run).find((entry) => /^\d+-\d+$/.test(entry)) ?? ''
  return join(run, id, name)
}
