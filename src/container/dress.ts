/**
 * What a new or copied guest needs once, and what must not be the same in two of them: machine-id, ssh host keys, time zone, root's
 * password and keys. All of it goes through a root that no symlink of the guest leads out of. Doing it twice changes nothing more.
 */
import { randomBytes } from 'node:crypto'
import { HostError } from '../lib/errors.ts'
import type { NativeRootfsDir } from '../platform/addon.ts'
import { run, which } from '../platform/exec.ts'
import { hostTimeZone, installCommand } from '../platform/host.ts'

export interface Dress {
  /** Content of a public key file, for root. */
  readonly authorizedKeys?: string | undefined
  /** In clear. */
  readonly password?: string | undefined
}

const MAX_FILE_BYTES = 1024 * 1024
const MAX_ZONE_BYTES = 64 * 1024

/** Undresses first: a copy holds what its source had. */
export async function dressRootfs(root: NativeRootfsDir, dress: Dress): Promise<void> {
  forgetHostKeys(root)
  giveMachineId(root)
  giveTimeZone(root)
  if (dress.authorizedKeys !== undefined) giveKeys(root, dress.authorizedKeys)
  if (dress.password !== undefined) await givePassword(root, dress.password)
}

/** What makes a copy another machine than its source. `hostname` absent: it keeps the source's. */
export function dressCopy(root: NativeRootfsDir, hostname: string | undefined): void {
  if (makesOwnHostKeys(root)) forgetHostKeys(root)
  giveMachineId(root)
  const present = root.stat('/etc/hostname')
  if (hostname === undefined || present?.type !== 'file') return
  root.write('/etc/hostname', Buffer.from(`${hostname}\n`), present.mode & 0o7777, present.uid, present.gid)
}

/** Without this service of our templates, sshd of a guest whose keys were taken away would not start. */
const makesOwnHostKeys = (root: NativeRootfsDir): boolean => root.stat('/etc/systemd/system/tslxc-ssh-keys.service') !== undefined

/** The guest makes new ones at its first start (tslxc-ssh-keys.service of the templates). */
export function forgetHostKeys(root: NativeRootfsDir): void {
  for (const name of root.list('/etc/ssh') ?? []) {
    if (/^ssh_host_.*_key(\.pub)?$/.test(name)) root.remove(`/etc/ssh/${name}`)
  }
}

/** machine-id(5). D-Bus's own copy, where it is no link, goes: dbus takes systemd's. */
export function giveMachineId(root: NativeRootfsDir): void {
  if (root.stat('/etc/machine-id') === undefined) return
  root.write('/etc/machine-id', Buffer.from(`${randomBytes(16).toString('hex')}\n`), 0o444, 0, 0)
  if (root.readlink('/var/lib/dbus/machine-id') === undefined && root.stat('/var/lib/dbus/machine-id') !== undefined) {
    root.remove('/var/lib/dbus/machine-id')
  }
}

/** The host's, as a link where the guest has the zones, else as a copy. */
function giveTimeZone(root: NativeRootfsDir): void {
  const zone = hostTimeZone()
  if (zone === undefined) return
  const known = root.stat(`/usr/share/zoneinfo/${zone.name}`)
  if (known !== undefined) {
    if (root.readlink('/etc/localtime') !== undefined || root.stat('/etc/localtime') !== undefined) root.remove('/etc/localtime')
    root.symlink(`/usr/share/zoneinfo/${zone.name}`, '/etc/localtime')
    root.write('/etc/timezone', Buffer.from(`${zone.name}\n`), 0o644, 0, 0)
  } else if (zone.content.length <= MAX_ZONE_BYTES) root.write('/etc/localtime', zone.content, 0o644, 0, 0)
}

function giveKeys(root: NativeRootfsDir, keys: string): void {
  if (root.stat('/root/.ssh') === undefined) root.mkdir('/root/.ssh', 0o700, 0, 0)
  const present = root.read('/root/.ssh/authorized_keys', MAX_FILE_BYTES)?.toString('utf8') ?? ''
  const known = present.split('\n')
  const added = keys.split('\n').filter((line) => line.trim() !== '' && !known.includes(line))
  const before = present === '' || present.endsWith('\n') ? present : `${present}\n`
  root.write('/root/.ssh/authorized_keys', Buffer.from(`${before}${added.map((line) => `${line}\n`).join('')}`), 0o600, 0, 0)
}

async function givePassword(root: NativeRootfsDir, password: string): Promise<void> {
  const shadow = root.read('/etc/shadow', MAX_FILE_BYTES)?.toString('utf8')
  if (shadow === undefined) throw new HostError('cannot set the password of root: the template has no /etc/shadow')
  const { mode, uid, gid } = root.stat('/etc/shadow') ?? { mode: 0o600, uid: 0, gid: 0 }
  const hash = await hashPassword(password)
  root.write('/etc/shadow', Buffer.from(withPassword(shadow, 'root', hash)), mode & 0o7777, uid, gid)
}

/** Puts a hash into a shadow(5) file. */
export function withPassword(shadow: string, user: string, hash: string): string {
  const lines = shadow.split('\n').map((line) => {
    const fields = line.split(':')
    return fields[0] === user ? [user, hash, ...fields.slice(2)].join(':') : line
  })
  return lines.join('\n')
}

/** SHA-512 crypt(5). The password travels by a pipe, not by the argument list that everybody can read. */
async function hashPassword(password: string): Promise<string> {
  if (which('openssl') === undefined) {
    throw new HostError("cannot hash the password: 'openssl' is not installed", { hint: installCommand('openssl') })
  }
  const { stdout } = await run(['openssl', 'passwd', '-6', '-stdin'], { input: `${password}\n` })
  return stdout.trim()
}
