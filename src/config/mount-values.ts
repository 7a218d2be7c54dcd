/** Parsers of what is mounted: root file system, fstab lines, automatic mounts, shares. Throw BadValue. */
import { BadValue, type Scalar } from '../lib/fields.ts'
import { absolutePath, text } from '../lib/values.ts'
import type { DriverName } from '../storage/driver.ts'

export interface RootfsPath {
  readonly driver: DriverName
  /** What the driver reads. */
  readonly path: string
}

const DRIVERS: Readonly<Record<string, DriverName>> = {
  dir: 'dir',
  btrfs: 'btrfs',
  zfs: 'zfs',
  lvm: 'lvm',
  loop: 'loop',
  overlay: 'overlay',
  // LXC's older spelling.
  overlayfs: 'overlay',
}
const DRIVER_HINT = `use /path, or ${Object.values(DRIVERS).slice(0, -1).join(':, ')}: before it`

/** `[DRIVER:]PATH`; without a driver a directory. Only the driver knows what else its path must be. */
export function rootfsPath(value: Scalar): RootfsPath {
  const [, word = 'dir', path = ''] = /^(?:([a-z]+):)?(.*)$/s.exec(text(value)) ?? []
  if (['nbd', 'rbd'].includes(word)) throw new BadValue(`storage '${word}' is not supported yet`, DRIVER_HINT)
  const driver = DRIVERS[word]
  if (driver === undefined) throw new BadValue(`'${word}' is no storage driver`, DRIVER_HINT)
  if (path === '') throw new BadValue(`'${value}' names no root file system`, DRIVER_HINT)
  return { driver, path: driver === 'dir' ? absolutePath(path) : path }
}

export const MOUNT_FLAGS: readonly string[] =
  'ro rw nosuid suid nodev dev noexec exec sync async dirsync noatime atime nodiratime relatime strictatime lazytime nosymfollow'.split(' ')
const PROPAGATIONS: readonly string[] = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave', 'unbindable', 'runbindable']

export interface MountOptions {
  readonly flags: readonly string[]
  readonly propagation?: string
  readonly create?: 'dir' | 'file'
  readonly optional: boolean
  readonly relative: boolean
  readonly idmap?: 'container' | 'none'
  readonly bind?: { readonly recursive: boolean }
  /** What the file system's own parser gets, joined by commas. */
  readonly data: string
}

/** mount(8)'s words, LXC's extra ones, and what is left for the file system. */
export function mountOptions(value: Scalar): MountOptions {
  const words = text(value).split(',')
  const flags: string[] = []
  const data: string[] = []
  const found: { -readonly [K in keyof MountOptions]?: MountOptions[K] } = {}
  for (const word of words) {
    const [, key, setting = ''] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (MOUNT_FLAGS.includes(word)) flags.push(word)
    else if (PROPAGATIONS.includes(word)) found.propagation = word
    else if (word === 'bind' || word === 'rbind') found.bind = { recursive: word === 'rbind' }
    else if (word === 'optional') found.optional = true
    else if (word === 'relative') found.relative = true
    else if (key === 'create') found.create = created(setting)
    else if (key === 'idmap') found.idmap = idmapped(setting)
    else if (word === 'move' || word === 'remount') throw new BadValue(`the mount option '${word}' is not supported yet`)
    else if (word !== '' && !IGNORED.includes(word)) data.push(word)
  }
  return { ...found, flags, optional: found.optional ?? false, relative: found.relative ?? false, data: data.join(',') }
}

// They speak to fsck, mount -a and systemd, or name what is so anyway: mount(8).
const IGNORED: readonly string[] = [
  'defaults',
  'auto',
  'noauto',
  'user',
  'nouser',
  'users',
  'owner',
  'group',
  '_netdev',
  'nofail',
  'loud',
  'silent',
  'diratime',
  'norelatime',
  'nostrictatime',
  'nolazytime',
  'symfollow',
]

function created(setting: string): 'dir' | 'file' {
  if (setting === 'dir' || setting === 'file') return setting
  throw new BadValue(`'create=${setting}' is not one of create=dir, create=file`)
}

function idmapped(setting: string): 'container' | 'none' {
  if (setting === 'container' || setting === 'none') return setting
  if (setting.startsWith('/')) throw new BadValue('an id map from a namespace file is not supported yet', 'use idmap=container')
  throw new BadValue(`'idmap=${setting}' is not one of idmap=container, idmap=none`)
}

export interface FstabEntry {
  readonly source: string
  /** Absolute inside the container. */
  readonly target: string
  readonly type: string
  readonly options: MountOptions
}

/** fstab(5): source, target, type and options; the numbers after them are ignored. */
export function fstabEntry(value: Scalar): FstabEntry {
  const [source, target, type, options, ...numbers] = text(value).trim().split(/\s+/).map(unescapeOctal)
  if (source === undefined || target === undefined || type === undefined || numbers.length > 2)
    throw new BadValue(`'${value}' is no fstab line`, 'for example "/srv/www srv/www none bind,create=dir 0 0"')
  const parsed = mountOptions(options ?? 'defaults')
  const isBind = parsed.bind !== undefined || type === 'bind'
  const known = { ...parsed, ...(isBind ? { bind: parsed.bind ?? { recursive: false } } : {}) }
  if (isBind && !known.relative && !source.startsWith('/')) throw new BadValue(`the source '${source}' is no absolute path`)
  if (target.split('/').includes('..')) throw new BadValue(`the target '${target}' must not go up by '..'`)
  return { source, target: `/${target.replace(/^\/+/, '')}`, type, options: known }
}

/** Blanks in paths are written \040: getmntent(3). */
const unescapeOctal = (word: string): string =>
  word.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

export type AutoMount = 'proc:mixed' | 'proc:rw' | 'sys:mixed' | 'sys:ro' | 'sys:rw' | 'cgroup'

/** LXC's words of lxc.mount.auto; several may stand in one text, with blanks between them. */
export function autoMounts(value: Scalar): readonly AutoMount[] {
  return text(value)
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(autoMount)
}

function autoMount(word: string): AutoMount {
  switch (word) {
    case 'proc':
    case 'proc:mixed':
      return 'proc:mixed'
    case 'sys':
    case 'sys:mixed':
      return 'sys:mixed'
    case 'proc:rw':
    case 'sys:ro':
    case 'sys:rw':
      return word
  }
  // A guest with a cgroup namespace mounts its hierarchies itself.
  if (/^cgroup(-full)?(:(mixed|ro|rw))?$/.test(word)) return 'cgroup'
  if (/^(cgroup(-full)?(:(mixed|ro|rw))?:force|shmounts:.*)$/.test(word)) throw new BadValue(`'${word}' is not supported yet`)
  throw new BadValue(`'${word}' is no automatic mount`, 'for example proc:mixed, sys:mixed or cgroup:mixed')
}

export interface Share {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
  readonly root: boolean
  readonly optional: boolean
}

/** `HOST:GUEST[:OPTION,…]`; options ro, rw, root, optional. */
export function share(value: Scalar): Share {
  const [source = '', target = '', options = '', ...rest] = text(value).split(':')
  if (rest.length > 0 || target === '') throw new BadValue(`'${value}' is no share`, 'write HOST:GUEST or HOST:GUEST:ro')
  const words = options === '' ? [] : options.split(',')
  for (const word of words)
    if (!['ro', 'rw', 'root', 'optional'].includes(word))
      throw new BadValue(`'${word}' is no option of a share`, 'the options are ro, rw, root and optional')
  const path = absolutePath(target)
  if (path.split('/').includes('..') || /^\/+$/.test(path)) throw new BadValue(`'${target}' can not be the place of a share`)
  return {
    source: absolutePath(source),
    target: path,
    readOnly: words.includes('ro'),
    root: words.includes('root'),
    optional: words.includes('optional'),
  }
}
