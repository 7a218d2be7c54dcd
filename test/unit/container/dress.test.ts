import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Dress, dressRootfs, withPassword } from '../../../src/container/dress.ts'
import { loadAddon } from '../../../src/platform/addon.ts'

const installRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
const canRun = existsSync(join(installRoot, 'dist/addon.node')) && process.geteuid?.() === 0

let dir: string
let rootfs: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-dress-'))
  rootfs = join(dir, 'rootfs')
  for (const path of ['etc/ssh', 'root', 'usr/share/zoneinfo/Etc', 'var/lib/dbus']) mkdirSync(join(rootfs, path), { recursive: true })
  writeFileSync(join(rootfs, 'etc/machine-id'), '')
  writeFileSync(join(rootfs, 'etc/shadow'), 'root:!*:1:0:::::\nbin:*:1:0:::::\n', { mode: 0o640 })
  writeFileSync(join(rootfs, 'etc/ssh/ssh_host_rsa_key'), 'k')
  writeFileSync(join(rootfs, 'etc/ssh/ssh_host_rsa_key.pub'), 'k')
  writeFileSync(join(rootfs, 'etc/ssh/sshd_config'), 'c')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

async function dress(wishes: Dress = {}): Promise<void> {
  const root = loadAddon(installRoot).openRootfsDir(rootfs)
  try {
    await dressRootfs(root, wishes)
  } finally {
    root.close()
  }
}

const inside = (path: string) => readFileSync(join(rootfs, path), 'utf8')

describe.skipIf(!canRun)('dressing a guest', () => {
  it('gives it a machine-id and takes host keys away, each time', async () => {
    writeFileSync(join(rootfs, 'var/lib/dbus/machine-id'), 'old')
    await dress()
    const first = inside('etc/machine-id')
    expect(first).toMatch(/^[0-9a-f]{32}\n$/)
    expect(statSync(join(rootfs, 'etc/machine-id')).mode & 0o777).toBe(0o444)
    expect(existsSync(join(rootfs, 'var/lib/dbus/machine-id'))).toBe(false)
    expect(readdirSync(join(rootfs, 'etc/ssh'))).toEqual(['sshd_config'])
    await dress()
    expect(inside('etc/machine-id')).not.toBe(first)
  })

  it('adds keys once, and leaves those that are there', async () => {
    await dress({ authorizedKeys: 'ssh-ed25519 A one\n\nssh-ed25519 B two' })
    await dress({ authorizedKeys: 'ssh-ed25519 B two\nssh-ed25519 C three\n' })
    expect(inside('root/.ssh/authorized_keys')).toBe('ssh-ed25519 A one\nssh-ed25519 B two\nssh-ed25519 C three\n')
    expect(statSync(join(rootfs, 'root/.ssh/authorized_keys')).mode & 0o777).toBe(0o600)
  })

  it('sets the password of root alone, and keeps the mode of the file', async () => {
    await dress({ password: 'tell no one' })
    expect(inside('etc/shadow')).toMatch(/^root:\$6\$[^:]+:1:0:::::\nbin:\*:1:0:::::\n$/)
    expect(statSync(join(rootfs, 'etc/shadow')).mode & 0o777).toBe(0o640)
  })

  it('never writes out of the root file system, whatever its links say', async () => {
    const host = join(dir, 'host')
    mkdirSync(join(host, 'ssh'), { recursive: true })
    writeFileSync(join(host, 'machine-id'), 'mine')
    writeFileSync(join(host, 'ssh/ssh_host_rsa_key'), 'mine')
    rmSync(join(rootfs, 'etc'), { recursive: true })
    symlinkSync(host, join(rootfs, 'etc'))
    rmSync(join(rootfs, 'root'), { recursive: true })
    symlinkSync(`../../../../..${host}`, join(rootfs, 'root'))
    await dress({ authorizedKeys: 'ssh-ed25519 A one\n' }).catch(() => undefined)
    expect(readFileSync(join(host, 'machine-id'), 'utf8')).toBe('mine')
    expect(readFileSync(join(host, 'ssh/ssh_host_rsa_key'), 'utf8')).toBe('mine')
    expect(readdirSync(host).sort()).toEqual(['machine-id', 'ssh'])
  })

  it('replaces a link in the place of a file', async () => {
    const target = join(dir, 'target')
    writeFileSync(target, 'mine')
    for (const path of ['etc/machine-id', 'etc/localtime', 'etc/timezone']) {
      rmSync(join(rootfs, path), { force: true })
      symlinkSync(target, join(rootfs, path))
    }
    await dress()
    expect(readFileSync(target, 'utf8')).toBe('mine')
  })

  it('takes the zone of the host by its name where the guest knows it', async () => {
    const { hostTimeZone } = await import('../../../src/platform/host.ts')
    const zone = hostTimeZone()
    if (zone === undefined) return
    mkdirSync(join(rootfs, 'usr/share/zoneinfo', zone.name, '..'), { recursive: true })
    writeFileSync(join(rootfs, 'usr/share/zoneinfo', zone.name), '')
    await dress()
    expect(readlinkSync(join(rootfs, 'etc/localtime'))).toBe(`/usr/share/zoneinfo/${zone.name}`)
    expect(inside('etc/timezone')).toBe(`${zone.name}\n`)
  })
})

describe('a shadow file', () => {
  it('keeps all other lines and fields', () => {
    expect(withPassword('daemon:*:1\nroot:!:2:0\nrooted:!:3', 'root', '$6$x')).toBe('daemon:*:1\nroot:$6$x:2:0\nrooted:!:3')
  })
})
