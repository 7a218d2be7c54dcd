/** A small root file system without any network: the host's static busybox and the template's own files. */
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { chmod, copyFile, mkdir, open, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { HostError } from '../lib/errors.ts'
import { run, which } from '../platform/exec.ts'
import { installCommand } from '../platform/host.ts'
import type { FetchWork, ImageSource, SourcePlace } from './source.ts'

const options = z.strictObject({
  kind: z.literal('busybox'),
  /** Absolute path of the program; empty: found in PATH. */
  program: z._default(z.string(), ''),
  /** Folder beside template.yaml whose files go in; an executable one stays executable. */
  files: z.string(),
})

export type BusyboxSource = z.infer<typeof options>

const DIRECTORIES: readonly (readonly [path: string, mode: number])[] = [
  ...['bin', 'dev', 'etc', 'etc/init.d', 'home', 'lib', 'lib64', 'mnt', 'proc', 'run', 'sbin', 'sys', 'usr', 'var', 'var/log'].map(
    (path) => [path, 0o755] as const,
  ),
  ...['usr/bin', 'usr/lib', 'usr/lib64', 'usr/sbin', 'usr/share'].map((path) => [path, 0o755] as const),
  ['root', 0o700],
  ['tmp', 0o1777],
  ['var/tmp', 0o1777],
]
const OWNER_ONLY = new Set(['etc/shadow'])

export const busybox: ImageSource<BusyboxSource> = {
  kind: 'busybox',
  options,
  runsGuestCode: false,
  describe: () => 'busybox',

  async identity(source, place) {
    const hash = createHash('sha256').update(await readFile(await findProgram(source)))
    for (const file of filesOf(source, place)) {
      hash.update(`\0${file.path}\0${file.mode}\0`).update(await readFile(file.from))
    }
    return { content: hash.digest('hex') }
  },

  async fetch(source, work) {
    work.onStep({ text: 'making the busybox root file system' })
    const program = await findProgram(source)
    for (const [path, mode] of DIRECTORIES) await makeDir(join(work.rootfs, path), mode)
    await symlink('../run', join(work.rootfs, 'var/run'))
    await copyFile(program, join(work.rootfs, 'bin/busybox'))
    await chmod(join(work.rootfs, 'bin/busybox'), 0o755)
    await linkApplets(program, work.rootfs)
    await copyFiles(source, work)
  },
}

/** mkdir's mode is cut by the umask. */
async function makeDir(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true })
  await chmod(path, mode)
}

async function findProgram(source: BusyboxSource): Promise<string> {
  const hint = installCommand('busybox-static')
  const program = source.program === '' ? which('busybox') : source.program
  if (program === undefined) throw new HostError("cannot make a busybox root file system: 'busybox' is not installed", { hint })
  // A dynamic one finds no libraries inside.
  if (await isDynamic(program))
    throw new HostError(`cannot make a busybox root file system: '${program}' is not a static program`, { hint })
  return program
}

const ELF_MAGIC = '\x7fELF'
const PT_INTERP = 3

/** Whether a 32 or 64 bit little-endian ELF file asks for an interpreter. elf(5) */
export async function isDynamic(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new HostError(`cannot make a busybox root file system: cannot read '${path}'`, { cause })
  })
  try {
    const head = Buffer.alloc(4096)
    await file.read(head, 0, head.length, 0)
    if (head.toString('latin1', 0, 4) !== ELF_MAGIC) {
      throw new HostError(`cannot make a busybox root file system: '${path}' is not an ELF program`)
    }
    const wide = head[4] === 2
    const [offset, size, count] = wide
      ? [Number(head.readBigUInt64LE(0x20)), head.readUInt16LE(0x36), head.readUInt16LE(0x38)]
      : [head.readUInt32LE(0x1c), head.readUInt16LE(0x2a), head.readUInt16LE(0x2c)]
    const headers = Buffer.alloc(size * count)
    await file.read(headers, 0, headers.length, offset)
    return Array.from({ length: count }, (_, index) => headers.readUInt32LE(index * size)).includes(PT_INTERP)
  } finally {
    await file.close()
  }
}

async function linkApplets(program: string, rootfs: string): Promise<void> {
  const { stdout } = await run([program, '--list-full'])
  for (const applet of stdout.split('\n')) {
    if (applet === '' || applet.endsWith('/busybox')) continue
    await makeDir(join(rootfs, dirname(applet)), 0o755)
    await symlink('/bin/busybox', join(rootfs, applet))
  }
}

interface TemplateFile {
  /** Inside the root file system, relative. */
  readonly path: string
  readonly from: string
  readonly mode: number
}

function filesOf(source: BusyboxSource, place: SourcePlace): TemplateFile[] {
  const top = join(place.templateDir, source.files)
  return filesBelow(top, '').map((path) => {
    const from = join(top, path)
    const executable = (statSync(from).mode & 0o100) !== 0
    return { path, from, mode: OWNER_ONLY.has(path) ? 0o600 : executable ? 0o755 : 0o644 }
  })
}

/** Relative paths, sorted. By hand: fs.readdir's own recursion is many times slower on Node 20. */
function filesBelow(top: string, prefix: string): string[] {
  const entries = readdirSync(join(top, prefix), { withFileTypes: true })
  return entries.flatMap((entry) => (entry.isDirectory() ? filesBelow(top, join(prefix, entry.name)) : [join(prefix, entry.name)])).sort()
}

async function copyFiles(source: BusyboxSource, work: FetchWork): Promise<void> {
  for (const file of filesOf(source, work)) {
    const to = join(work.rootfs, file.path)
    await mkdir(dirname(to), { recursive: true })
    await writeFile(to, await readFile(file.from))
    await chmod(to, file.mode)
  }
}
