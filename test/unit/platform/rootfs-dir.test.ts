import { execFileSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openRootfs, type RootfsDir } from '../../../src/platform/rootfs-dir.ts'
import { repositoryRoot, rootOnly } from '../../helpers/addon.ts'

let dir = ''
let root = ''
let rootfs: RootfsDir
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-rootfs-'))
  root = join(dir, 'rootfs')
  mkdirSync(join(root, 'etc'), { recursive: true })
  mkdirSync(join(dir, 'host/etc'), { recursive: true })
  writeFileSync(join(dir, 'host/secret'), 'secret of the host')
  rootfs = openRootfs({ installRoot: repositoryRoot }, root)
})
afterEach(() => {
  rootfs[Symbol.dispose]()
  rmSync(dir, { recursive: true, force: true })
})

describe.skipIf(rootOnly)('RootfsDir', () => {
  it('writes, reads, lists, removes', () => {
    rootfs.write('/etc/hostname', 'web\n')
    rootfs.write('etc/secret', 'x', { mode: 0o4750, uid: 3, gid: 4 })
    expect(rootfs.readText('/etc/hostname')).toBe('web\n')
    expect(rootfs.stat('/etc/secret')).toEqual({ type: 'file', mode: 0o4750, uid: 3, gid: 4, size: 1 })
    expect(rootfs.list('/etc')).toEqual(['hostname', 'secret'])
    rootfs.mkdir('/var/lib/x', { mode: 0o1777, uid: 7, gid: 8 })
    expect(rootfs.stat('/var/lib/x')).toMatchObject({ type: 'dir', mode: 0o1777, uid: 7, gid: 8 })
    expect(rootfs.stat('/var')).toMatchObject({ mode: 0o755, uid: 0 })
    rootfs.symlink('../etc/hostname', '/var/link')
    expect(rootfs.readlink('/var/link')).toBe('../etc/hostname')
    expect(rootfs.readText('/var/link')).toBe('web\n')
    expect(rootfs.readlink('/etc/hostname')).toBeUndefined()
    rootfs.chmod('/etc/secret', 0o600)
    rootfs.chown('/etc/secret', 9, 9)
    expect(rootfs.stat('/etc/secret')).toMatchObject({ mode: 0o600, uid: 9 })
    rootfs.remove('/var')
    rootfs.remove('/var')
    rootfs.remove('/no/such/dir/x')
    expect(readdirSync(root)).toEqual(['etc'])
    expect(rootfs.readText('/absent')).toBeUndefined()
    expect(rootfs.list('/etc/hostname')).toBeUndefined()
    expect(rootfs.stat('/absent/x')).toBeUndefined()
  })

  it('makes parents with the owner of the directory above', () => {
    chownSync(join(root, 'etc'), 100_000, 100_001)
    rootfs.write('/etc/a/b/c', 'x')
    expect(rootfs.stat('/etc/a')).toMatchObject({ uid: 100_000, gid: 100_001, mode: 0o755 })
    expect(rootfs.stat('/etc/a/b')).toMatchObject({ uid: 100_000 })
  })

  it.each([
    ['absolute', () => join(dir, 'host')],
    ['relative', () => '../../host'],
    ['of many dots', () => '../../../../../../../../..'],
  ])('an %s symlink leads nowhere outside', (_, target) => {
    symlinkSync(target(), join(root, 'etc/out'))
    expect(rootfs.readText('/etc/out/secret')).toBeUndefined()
    expect(rootfs.readText(`/etc/out${dir}/host/secret`)).toBeUndefined()
    expect(rootfs.readText(`/../../../..${dir}/host/secret`)).toBeUndefined()
    try {
      rootfs.write('/etc/out/etc/written', 'x')
    } catch {
      // a dangling symlink is refused
    }
    expect(existsSync(join(dir, 'host/etc/written'))).toBe(false)
    try {
      rootfs.remove('/etc/out/etc')
    } catch {}
    expect(existsSync(join(dir, 'host/etc'))).toBe(true)
  })

  it('replaces a symlink at the very place, does not follow it', () => {
    symlinkSync(join(dir, 'host/secret'), join(root, 'etc/resolv.conf'))
    rootfs.write('/etc/resolv.conf', 'nameserver 10.0.4.1\n')
    expect(lstatSync(join(root, 'etc/resolv.conf')).isFile()).toBe(true)
    symlinkSync(join(dir, 'host/secret'), join(root, 'etc/mtab'))
    rootfs.symlink('/proc/mounts', '/etc/mtab')
    expect(readlinkSync(join(root, 'etc/mtab'))).toBe('/proc/mounts')
    symlinkSync(join(dir, 'host'), join(root, 'etc/tree'))
    rootfs.remove('/etc/tree')
    expect(() => rootfs.chmod('/etc/mtab', 0o777)).toThrow(/cannot change the mode of '\/etc\/mtab' in the root file system/)
    expect(readFileSync(join(dir, 'host/secret'), 'utf8')).toBe('secret of the host')
    expect(lstatSync(join(dir, 'host/secret')).mode & 0o777).not.toBe(0o777)
  })

  it('opens no FIFO and no device, reads nothing endless', () => {
    execFileSync('mkfifo', [join(root, 'etc/passwd')])
    execFileSync('mknod', [join(root, 'zero'), 'c', '1', '5'])
    expect(() => rootfs.readText('/etc/passwd')).toThrow(/it is no regular file/)
    expect(() => rootfs.readText('/zero')).toThrow(/it is no regular file/)
    execFileSync('truncate', ['-s', '2M', join(root, 'big')])
    expect(() => rootfs.readText('/big')).toThrow(/File too large/)
    expect(() => rootfs.readText('/etc')).toThrow(/it is no regular file/)
  })

  it('takes only names of entries where it changes something', () => {
    for (const path of ['/', '', '/etc/..', '.', '/etc/.']) {
      expect(() => rootfs.write(path, 'x')).toThrow(/it is no file's name/)
      expect(() => rootfs.remove(path)).toThrow(/it is no file's name/)
    }
    expect(() => rootfs.write('/a\0b', 'x')).toThrow(/NUL/)
    expect(() => rootfs.write('/etc/hostname/x', 'x')).not.toThrow()
    rootfs.write('/file', 'x')
    expect(() => rootfs.write('/file/x', 'x')).toThrow(/Not a directory/)
    expect(() => rootfs.write('/etc', 'x')).toThrow(/Is a directory/)
    expect(readdirSync(root)).toEqual(['etc', 'file'])
  })

  it('is done after it was closed', () => {
    rootfs[Symbol.dispose]()
    expect(() => rootfs.readText('/x')).toThrow(/it is closed/)
  })
})
