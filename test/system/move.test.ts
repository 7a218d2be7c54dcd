/** Moving containers by archive: what is the same afterwards, what is refused, and that a broken-off one leaves nothing. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BLOCK, END_OF_ARCHIVE, fileMember, padded } from '../../src/lib/tar.ts'
import { makePaths } from '../../src/platform/paths.ts'
import type { Volume } from '../../src/storage/driver.ts'
import { storageDriver } from '../../src/storage/index.ts'
import { makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { checkout, program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'
import { fillWithOddTree, manifest } from '../helpers/storage-place.ts'
import { makeZfsPool, type ZfsPool } from '../helpers/zfs-pool.ts'

expectNoLeaks()
const root = makeRoot()
const pool = makeBtrfsPool(2048)
let zfs: ZfsPool
const onBtrfs = join(pool.dir, 'lxc')
const archives = join(root.path, 'archives')
beforeAll(async () => {
  mkdirSync(archives)
  mkdirSync(onBtrfs, { mode: 0o700 })
  zfs = await makeZfsPool()
  await root.createBusybox('web')
  await withVolume(root.lxcpath, 'web', fillWithOddTree)
  await root.ok('snapshot', 'web')
  await root.ok('export', 'web', join(archives, 'web.tar'), '-z', 'none')
  await root.ok('export', 'web', join(archives, 'web.tar.zst'), '--snapshots')
}, 120_000)
afterAll(async () => {
  for (const name of visible(onBtrfs)) await root.tslxc('destroy', '-f', '-s', '-P', onBtrfs, name)
  for (const name of visible()) await root.tslxc('destroy', '-f', '-s', name)
  await sleep(300)
  pool.remove()
  await zfs.remove()
  await root.remove()
}, 60_000)

const visible = (lxcpath = root.lxcpath): string[] =>
  existsSync(lxcpath)
    ? readdirSync(lxcpath)
        .filter((entry) => !entry.startsWith('.'))
        .sort()
    : []
const idOwners = (): string[] =>
  JSON.parse(readFileSync(join(root.lxcpath, '.alloc/ids.json'), 'utf8'))
    .ranges.map(({ name }: { name: string }) => name)
    .sort()
const recordOf = (name: string) => JSON.parse(readFileSync(join(root.lxcpath, name, 'record.json'), 'utf8'))
const archive = (name: string): string => join(archives, name)

async function withVolume<T>(
  lxcpath: string,
  name: string,
  use: (driver: ReturnType<typeof storageDriver>, volume: Volume) => Promise<T>,
): Promise<T> {
  const { volume } = JSON.parse(readFileSync(join(lxcpath, name, 'volume.json'), 'utf8')) as { volume: Volume }
  return await use(storageDriver(makePaths({ root: root.path, installRoot: checkout }), volume.driver), volume)
}

/** Sockets are left out, and what a copy gets of its own differs. */
async function content(lxcpath: string, name: string): Promise<unknown[]> {
  const entries = (await withVolume(lxcpath, name, manifest)) as { path: string; mode?: string; mtime?: number; sha?: string }[]
  return entries
    .filter(({ mode }) => mode !== '0o140755')
    .map((entry) => (['etc', 'etc/machine-id', 'etc/hostname'].includes(entry.path) ? { ...entry, mtime: 0, sha: '' } : entry))
}

const SECOND = 1_000_000_000
/** It keeps whole seconds, and the mode as an ACL besides. */
const asZfsFuse = (entries: unknown[]): unknown[] =>
  (entries as { mtime: number; xattrs: Record<string, string> }[]).map((entry) => {
    const { 'system.posix_acl_access': acl, ...xattrs } = entry.xattrs
    const isMode = acl !== undefined && acl.length <= TRIVIAL_ACL
    return { ...entry, mtime: Math.floor(entry.mtime / SECOND), xattrs: isMode ? xattrs : entry.xattrs }
  })
/** Hexadecimal: a version, and an entry each for owner, group and others. */
const TRIVIAL_ACL = 2 * (4 + 3 * 8)

describe('to and from every storage', { timeout: 180_000 }, () => {
  const ways: readonly { readonly storage: string; readonly at: string; readonly words: () => readonly string[] }[] = [
    { storage: 'dir', at: root.lxcpath, words: () => ['-B', 'dir'] },
    { storage: 'overlay', at: root.lxcpath, words: () => ['-B', 'overlay'] },
    { storage: 'loop', at: root.lxcpath, words: () => ['-B', 'loop', '--fssize', '128M'] },
    { storage: 'btrfs', at: onBtrfs, words: () => ['-B', 'btrfs', '-P', onBtrfs] },
    { storage: 'zfs', at: root.lxcpath, words: () => ['-B', 'zfs', '--zfsroot', `${zfs.name}/lxc`] },
  ]

  it.each(ways)('$storage: every attribute, and snapshots', async ({ storage, at, words }) => {
    const name = `on-${storage}`
    await root.ok('import', archive('web.tar.zst'), name, ...words())
    const expected = await content(root.lxcpath, 'web')
    const exact = storage === 'zfs' ? asZfsFuse : (entries: unknown[]) => entries
    expect(exact(await content(at, name))).toEqual(exact(expected))
    expect(await root.ok('snapshot', '-L', name, '-P', at)).toContain('snap0')
    // And out of it again.
    const second = archive(`${storage}.tar.zst`)
    await root.ok('export', name, second, '-P', at)
    await root.ok('import', second, `of-${storage}`)
    expect(exact(await content(root.lxcpath, `of-${storage}`))).toEqual(exact(expected))
    await root.ok('destroy', `of-${storage}`)
    await withVolume(at, name, (driver, volume) => driver.withMounted(volume, async (dir) => writeFileSync(join(dir, 'later'), '')))
    await root.ok('snapshot', '-r', 'snap0', name, '-P', at)
    expect(exact(await content(at, name))).toEqual(exact(expected))
    await root.ok('destroy', '-s', name, '-P', at)
  })

  it('starts, with ids of its own; a copy is another machine, a moved one the same', async () => {
    await root.ok('import', archive('web.tar'), 'moved')
    expect(recordOf('moved').uuid).not.toBe(recordOf('web').uuid)
    expect(idOwners()).toEqual(['moved', 'web'])
    await root.ok('start', 'moved')
    expect((await root.ok('attach', 'moved', '--', '/bin/hostname')).trim()).toBe('moved')
    await root.ok('stop', '-k', 'moved')
    await root.ok('destroy', 'moved')
    const other = join(root.path, 'elsewhere')
    await root.ok('import', archive('web.tar'), '-P', other)
    expect(JSON.parse(readFileSync(join(other, 'web/record.json'), 'utf8')).uuid).toBe(recordOf('web').uuid)
    await root.ok('destroy', '-P', other, 'web')
  })

  it('a running one: by its snapshot on btrfs, with -a on a directory; over a pipe', async () => {
    await root.ok('start', 'web')
    const refused = await root.tslxc('export', 'web', archive('no.tar'))
    expect(refused.stderr).toContain('--allowrunning')
    expect(existsSync(archive('no.tar'))).toBe(false)
    const env = { ...process.env, TSLXC_ROOT: root.path }
    execFileSync('sh', ['-c', '"$1" export -a web - | "$1" import - piped', 'sh', program], { env, stdio: 'pipe' })
    await root.ok('stop', '-k', 'web')
    expect(visible()).toContain('piped')
    await root.ok('destroy', 'piped')
    await root.ok('import', archive('web.tar'), 'live', '-B', 'btrfs', '-P', onBtrfs)
    await root.ok('start', 'live', '-P', onBtrfs)
    await root.ok('export', 'live', archive('live.tar'), '-P', onBtrfs)
    expect(readdirSync(join(onBtrfs, 'live/snaps'))).toEqual([])
    await root.ok('stop', '-k', 'live', '-P', onBtrfs)
    await root.ok('destroy', 'live', '-P', onBtrfs)
  })

  it('does not replace a file without --force', async () => {
    expect((await root.tslxc('export', 'web', archive('web.tar'))).stderr).toContain('already exists')
    await root.ok('export', 'web', archive('twice.tar'), '-z', 'none')
    await root.ok('export', 'web', archive('twice.tar'), '-z', 'none', '--force')
    expect(readdirSync(archives).filter((entry) => entry.endsWith('.tmp'))).toEqual([])
  })
})

describe('streams', { timeout: 120_000 }, () => {
  const env = { ...process.env, TSLXC_ROOT: root.path }
  const stores = [
    { storage: 'btrfs', at: join(pool.dir, 'a'), to: join(pool.dir, 'b'), words: () => ['-B', 'btrfs'] },
    { storage: 'zfs', at: join(root.path, 'za'), to: join(root.path, 'zb'), words: () => ['-B', 'zfs', '--zfsroot', `${zfs.name}/lxc/to`] },
  ] as const
  const send = (words: readonly string[], to: readonly string[]): string =>
    execFileSync(
      'bash',
      ['-c', 'set -o pipefail; eval "$2" | eval "$3"', 'bash', '', quoted(program, 'send', ...words), quoted(program, 'receive', ...to)],
      {
        env,
        encoding: 'utf8',
        stdio: 'pipe',
      },
    )
  const quoted = (...words: string[]): string => words.map((word) => `'${word}'`).join(' ')
  const put = (lxcpath: string, file: string) =>
    withVolume(lxcpath, 'web', (driver, volume) => driver.withMounted(volume, async (dir) => writeFileSync(join(dir, file), file)))

  it.each(stores)('$storage: whole, then what differs; what is not here is named', async ({ storage, at, to, words }) => {
    if (storage === 'zfs') for (const dataset of ['from', 'to']) zfs.zfs('create', `${zfs.name}/lxc/${dataset}`)
    for (const dir of [at, to]) mkdirSync(dir, { mode: 0o700 })
    const here = storage === 'zfs' ? ['-B', 'zfs', '--zfsroot', `${zfs.name}/lxc/from`] : words()
    await root.ok('import', archive('web.tar'), '-P', at, ...here)
    await root.ok('snapshot', 'web', '-P', at)
    expect(send(['web', '--snapshot', 'snap0', '-P', at], ['-P', to, ...words()])).toContain(
      `received 'web' on ${storage}, with snapshot 'snap0'`,
    )
    expect(await content(to, 'web')).toEqual(await content(at, 'web'))
    await put(at, 'later')
    await root.ok('snapshot', 'web', '-P', at)
    // What was done to the copy meanwhile goes.
    await put(to, 'mine')
    expect(send(['web', '--from', 'snap0', '--snapshot', 'snap1', '-P', at], ['-P', to, 'web'])).toContain("updated 'web'")
    expect(await content(to, 'web')).toEqual(await content(at, 'web'))
    expect(await root.ok('snapshot', '-L', 'web', '-P', to)).toMatch(/snap0[\s\S]*snap1/)
    await root.ok('snapshot', '-r', 'snap0', 'web', '-P', to)
    // Without a snapshot: none is left on either side.
    send(['web', '-P', at], ['-P', to, ...words(), 'now'])
    // On ZFS as an archive.
    const exact = storage === 'zfs' ? asZfsFuse : (entries: unknown[]) => entries
    expect(exact(await content(to, 'now'))).toEqual(exact(await content(at, 'web')))
    expect(readdirSync(join(at, 'web/snaps')).sort()).toEqual(['snap0', 'snap1'])
    expect(visible(join(to, 'now/snaps'))).toEqual([])
    expect(() => send(['web', '--from', 'snap0', '--snapshot', 'snap1', '-P', at], ['-P', to, 'nowhere'])).toThrow(
      "its snapshot 'snap0', which the stream builds on, is not here",
    )
    expect(() => send(['web', '-P', at], ['-P', to, ...words(), 'now'])).toThrow('Container already exists')
    expect(() => send(['web', '--snapshot', 'snap1', '-P', at], ['-P', to, '-B', 'dir', 'other'])).toThrow('or send it with --format file')
    send(['web', '--format', 'file', '-P', at], ['-P', to, '-B', 'dir', 'other'])
    await root.ok('destroy', 'other', '-P', to)
    // Cut off anywhere: nothing is made, nothing changes.
    const stream = execFileSync(program, ['send', 'web', '-P', at], { env, maxBuffer: 1 << 28, stdio: 'pipe' })
    for (const part of [0, 0.01, 0.5, 0.999]) {
      writeFileSync(archive('cut'), stream.subarray(0, Math.floor(stream.length * part)))
      const cut = quoted(program, 'receive', '-P', to, ...words(), 'cut')
      expect(() => execFileSync('bash', ['-c', `${cut} < '${archive('cut')}'`], { env, stdio: 'pipe' })).toThrow('it is cut off')
      expect(visible(to)).toEqual(['now', 'web'])
    }
    for (const name of ['now', 'web']) await root.ok('destroy', '-s', name, '-P', to)
    await root.ok('destroy', '-s', 'web', '-P', at)
    if (storage === 'zfs') for (const dataset of ['from', 'to']) zfs.zfs('destroy', `${zfs.name}/lxc/${dataset}`)
  })
})

interface Given {
  readonly type?: string
  readonly link?: string
  readonly text?: string
}

/** A member of any kind, well-formed but for what it says. */
function member(name: string, { type = '0', link = '', text = '' }: Given = {}): Buffer {
  const made = fileMember(name, Buffer.from(text), 0o755)
  made.write(type, 156, 'latin1')
  made.write(link, 157, 'latin1')
  made.fill(0x20, 148, 156)
  const sum = made.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0)
  made.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return made
}

const about = (more: object = {}): string =>
  JSON.stringify({
    format: 'tslxc-export',
    version: 1,
    name: 'bad',
    dir: '/var/lib/tslxc/bad',
    driver: 'dir',
    createdAt: '2026-01-01T00:00:00Z',
    tslxc: '0.1.0',
    rootfs: { usedBytes: 4096, apparentBytes: 4096, entries: 20 },
    snapshots: [],
    ...more,
  })
const head = (more?: object): Buffer[] => [
  member('tslxc-export.json', { text: about(more) }),
  member('config.yaml', { text: 'net: [{ type: empty }]\n' }),
]

function sealed(members: readonly Buffer[], wrong = false): Buffer {
  const bytes = Buffer.concat(members)
  const sha256 = createHash('sha256')
    .update(wrong ? 'other' : bytes)
    .digest('hex')
  return Buffer.concat([
    bytes,
    fileMember('tslxc-checksum.json', Buffer.from(JSON.stringify({ sha256, bytes: bytes.length }))),
    END_OF_ARCHIVE,
  ])
}

const top = member('rootfs/', { type: '5' })
const inTree = (...members: Buffer[]): Buffer => sealed([...head(), top, ...members])

describe('bad archives', { timeout: 120_000 }, () => {
  const outside = join(root.path, 'outside')
  const cases: readonly (readonly [string, () => Buffer, string])[] = [
    ['a path with ..', () => inTree(member('rootfs/../../evil', { text: 'x' })), "leads outside by '..'"],
    ['an absolute path', () => inTree(member('/evil', { text: 'x' })), "'/evil' does not belong into it"],
    ['an extended absolute path', () => inTree(pax('path=/evil', member('rootfs/a'))), 'does not belong into it'],
    ['a second name that leads outside', () => inTree(pax('path=rootfs/a', member('../../evil'))), "leads outside by '..'"],
    [
      'a member below a symlink',
      () => inTree(member('rootfs/out', { type: '2', link: outside }), member('rootfs/out/evil', { text: 'x' })),
      'which is no directory',
    ],
    [
      'a hard link out of the tree',
      () => inTree(member('rootfs/l', { type: '1', link: '/etc/shadow' })),
      'is a hard link to something that has an absolute path',
    ],
    ['a hard link by ..', () => inTree(member('rootfs/l', { type: '1', link: 'rootfs/../x' })), "leads outside by '..'"],
    ['a hard link to nothing', () => inTree(member('rootfs/l', { type: '1', link: 'rootfs/none' })), 'is not in the archive before it'],
    ['a member twice', () => inTree(member('rootfs/a'), member('rootfs/a')), 'is there twice'],
    ['a device beside the tree', () => sealed([...head(), member('null', { type: '3' }), top]), "'null' stands where 'rootfs' is expected"],
    ['a kind of GNU tar alone', () => inTree(member('rootfs/a', { type: 'M' })), "of the kind 'M'"],
    ['something behind the tree', () => inTree(member('evil')), "'evil' does not belong into it"],
    ['another content than the checksum says', () => sealed([...head(), top, member('rootfs/a')], true), 'not what its checksum says'],
    ['no checksum', () => Buffer.concat([...head(), top, END_OF_ARCHIVE]), 'it ends without tslxc-checksum.json'],
    ['more files than it says', () => inTree(...Array.from({ length: 30 }, (_, at) => member(`rootfs/${at}`))), 'more files than the 20'],
    ['more bytes than it says', () => inTree(member('rootfs/a', { text: 'x'.repeat(3 << 20) })), 'more than the'],
    [
      'more than the disk holds',
      () => sealed([...head({ rootfs: { usedBytes: 2 ** 50, apparentBytes: 2 ** 50, entries: 2 } }), top]),
      'are free',
    ],
    ['a name that can not be', () => sealed([...head({ name: '../bad' }), top]), "a name that can't be"],
    ['a newer format', () => sealed([...head({ version: 2 }), top]), 'its format has version 2'],
    ['a manifest that is none', () => sealed([member('tslxc-export.json', { text: '{' }), top]), 'is malformed'],
    ['no configuration', () => sealed([member('tslxc-export.json', { text: about() }), top]), 'it holds no config.yaml'],
    ['a broken header', () => corrupt(inTree(member('rootfs/a'))), 'the checksum of a header is wrong'],
    ['no archive at all', () => Buffer.from('hello\n'.repeat(200)), 'not of the form ustar'],
    ['nothing', () => Buffer.alloc(0), 'it is cut off'],
    ['half of one', () => half(readFileSync(archive('web.tar'))), 'it is cut off'],
    ['half of a compressed one', () => half(readFileSync(archive('web.tar.zst'))), 'it is cut off'],
    ['one with a changed byte', () => changed(readFileSync(archive('web.tar.zst'))), 'cannot import the archive'],
  ]

  it.each(cases)('%s: refused, with nothing left', async (_, make, message) => {
    mkdirSync(outside, { recursive: true })
    const before = visible()
    writeFileSync(archive('bad'), make())
    for (const words of [[archive('bad')], [archive('bad'), '-B', 'loop', '--fssize', '64M']]) {
      const { code, stderr } = await root.tslxc('import', ...words, 'bad')
      expect(stderr).toContain(message)
      expect(code).toBe(1)
      expect(visible()).toEqual(before)
      expect(idOwners()).not.toContain('bad')
    }
    expect(readdirSync(outside)).toEqual([])
  })

  it('a symlink that leads outside, alone, is what a root file system may hold; a name may have a newline', async () => {
    writeFileSync(archive('good'), inTree(member('rootfs/out', { type: '2', link: outside }), member('rootfs/two\nlines', { text: 'x' })))
    await root.ok('import', archive('good'), 'good')
    expect(readdirSync(join(root.lxcpath, 'good/rootfs')).sort()).toEqual(['out', 'two\nlines'])
    await root.ok('destroy', 'good')
  })
})

function pax(record: string, described: Buffer): Buffer {
  const length = record.length + 4
  return Buffer.concat([member('PaxHeaders/a', { type: 'x', text: `${length} ${record}\n` }), described])
}
const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2))
function corrupt(bytes: Buffer): Buffer {
  bytes.write('ROOTFS', bytes.indexOf('rootfs/a'), 'latin1')
  return bytes
}
function changed(bytes: Buffer): Buffer {
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 0xff
  return bytes
}

describe('broken off', { timeout: 300_000 }, () => {
  const kill = async (ms: number, ...args: string[]): Promise<void> => {
    const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, TSLXC_ROOT: root.path } })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await sleep(ms)
    child.kill('SIGKILL')
    await ended
  }
  const lengthOf = async (...args: string[]): Promise<number> => {
    const before = Date.now()
    await root.ok(...args)
    return Date.now() - before
  }

  it('export, killed: no file under its name', async () => {
    const length = await lengthOf('export', 'web', archive('whole.tar'), '--snapshots')
    for (let round = 0; round < 20; round++) {
      const file = archive(`killed-${round}.tar`)
      await kill((round / 20) * length, 'export', 'web', file, '--snapshots')
      if (existsSync(file)) await root.ok('import', file, 'whole').then(() => root.ok('destroy', '-s', 'whole'))
    }
  })

  it.each(['dir', 'overlay', 'loop', 'btrfs'])('import on %s, killed: whole or none, and the name is free', async (storage) => {
    const at = storage === 'btrfs' ? onBtrfs : root.lxcpath
    const words = [archive('web.tar.zst'), 'victim', '-B', storage, '-P', at, ...(storage === 'loop' ? ['--fssize', '128M'] : [])]
    const length = await lengthOf('import', ...words)
    await root.ok('destroy', '-s', 'victim', '-P', at)
    for (let round = 0; round < 20; round++) {
      await kill((round / 20) * length * 1.1, 'import', ...words)
      const { code, stderr } = await root.tslxc('destroy', '-s', 'victim', '-P', at)
      if (code !== 0) expect(stderr).toContain('Container is not defined')
      expect(visible(at)).not.toContain('victim')
      expect(idOwners()).not.toContain('victim')
    }
  })

  it('two imports of one name: one of them is made', async () => {
    const words = ['import', archive('web.tar'), 'one']
    const ends = await Promise.all([root.tslxc(...words), root.tslxc(...words)])
    expect(ends.map(({ code }) => code).sort()).toEqual([0, 1])
    expect(ends.map(({ stderr }) => stderr).join('')).toContain('Container already exists')
    await root.ok('destroy', 'one')
  })

  it('the pipe is closed: import has nothing, export fails', async () => {
    const env = { ...process.env, TSLXC_ROOT: root.path }
    const short = 'head -c 300000 "$2" | "$1" import - short'
    expect(() => execFileSync('sh', ['-c', short, 'sh', program, archive('web.tar.zst')], { env, stdio: 'pipe' })).toThrow('it is cut off')
    expect(visible()).not.toContain('short')
    const gone = 'set -o pipefail; "$1" export web - -z none | head -c 1000 > /dev/null'
    expect(() => execFileSync('bash', ['-c', gone, 'bash', program], { env, stdio: 'pipe' })).toThrow('whoever read it has gone')
  })
})

describe('a full disk', () => {
  const small: TestRoot = makeRoot()
  beforeAll(() => void execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3M,mode=0700', 'none', small.path]))
  afterAll(async () => {
    execFileSync('umount', [small.path])
    await small.remove()
  })

  it('says how much is missing, before; and stops where an archive lies', async () => {
    const { code, stderr } = await small.tslxc('import', archive('web.tar'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/it needs .* are free/)
    const lies = { rootfs: { usedBytes: 0, apparentBytes: 64 << 20, entries: 20 } }
    writeFileSync(archive('lies'), sealed([...head(lies), top, member('rootfs/a', { text: 'x'.repeat(padded(6 << 20)) })]))
    const second = await small.tslxc('import', archive('lies'))
    expect(second.stderr).toContain('no space left')
    expect(visible(small.lxcpath)).toEqual([])
  })
})
