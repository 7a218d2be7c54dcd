/** What the bootstrap tools leave of the host and of themselves, taken out; and the guest's own package sources. */
import { readFile } from 'node:fs/promises'
import { loadAddon, type NativeRootfsDir } from '../platform/addon.ts'
import type { FetchWork } from './source.ts'

export interface GuestSources {
  /** Names the file below /etc/apt/sources.list.d. */
  readonly name: string
  /** Lines of sources.list(5) without options; none: those that the tool left are kept. */
  readonly lines: readonly string[]
  /** On the host. */
  readonly keyring: string
  /** File name of that keyring. */
  readonly ownKeyring: string
}

const HOSTS_OWN = ['/etc/resolv.conf', '/etc/hostname', '/etc/machine-id', '/var/lib/dbus/machine-id', '/usr/sbin/policy-rc.d']
const REMAINDERS = [
  '/etc/apt/apt.conf.d/99mmdebstrap',
  '/etc/dpkg/dpkg.cfg.d/99mmdebstrap',
  '/var/cache/apt/pkgcache.bin',
  '/var/cache/apt/srcpkgcache.bin',
  '/var/cache/ldconfig/aux-cache',
  '/var/lib/systemd/random-seed',
  '/var/log/bootstrap.log',
  '/var/log/dpkg.log',
  '/var/log/alternatives.log',
]
const EMPTIED = ['/var/lib/apt/lists', '/var/cache/apt/archives', '/var/log/apt', '/run', '/tmp', '/var/tmp']

/** Everything goes through a root that no symlink of the guest leads out of. */
export async function cleanGuest(work: FetchWork, sources: GuestSources): Promise<void> {
  work.onStep({ text: 'removing what belongs to this host' })
  const root = loadAddon(work.installRoot).openRootfsDir(work.rootfs)
  try {
    for (const path of [...HOSTS_OWN, ...REMAINDERS]) removeIfPresent(root, path)
    for (const path of EMPTIED) emptyDir(root, path)
    for (const name of root.list('/etc/ssh') ?? []) if (name.startsWith('ssh_host_')) root.remove(`/etc/ssh/${name}`)
    // Present and empty: systemd makes one of its own at the first boot, should nobody have written it before. machine-id(5)
    root.write('/etc/machine-id', Buffer.alloc(0), 0o444, 0, 0)
    // systemd-resolved answers there when it runs; a static resolv.conf replaces the link at start.
    if (root.stat('/usr/lib/systemd/systemd-resolved') !== undefined)
      root.symlink('../run/systemd/resolve/stub-resolv.conf', '/etc/resolv.conf')
  } finally {
    root.close()
  }
  await guestSources(work, sources)
}

/** Writes the package sources, bound to the key they were fetched with. */
export async function guestSources(work: Pick<FetchWork, 'rootfs' | 'installRoot'>, sources: GuestSources): Promise<void> {
  const root = loadAddon(work.installRoot).openRootfsDir(work.rootfs)
  try {
    const packaged = `/usr/share/keyrings/${sources.name}-archive-keyring.gpg`
    const own = `/etc/apt/keyrings/${sources.ownKeyring}`
    const known = root.stat(packaged) !== undefined && packaged.endsWith(`/${sources.ownKeyring}`)
    if (!known) root.write(own, await readFile(sources.keyring), 0o644, 0, 0)
    const lines = sources.lines.length > 0 ? sources.lines : linesIn(root.read('/etc/apt/sources.list', 65_536)?.toString() ?? '')
    // Written already, in this form.
    if (lines.length === 0) return
    const text = sourcesText(lines, known ? packaged : own)
    removeIfPresent(root, '/etc/apt/sources.list')
    for (const name of root.list('/etc/apt/sources.list.d') ?? []) root.remove(`/etc/apt/sources.list.d/${name}`)
    root.write(`/etc/apt/sources.list.d/${sources.name}.sources`, Buffer.from(text), 0o644, 0, 0)
  } finally {
    root.close()
  }
}

/** The `deb` lines of a sources.list(5), without their options. */
export function linesIn(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, uri, rest] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S.*)$/.exec(line.trim()) ?? []
    return uri === undefined || rest === undefined ? [] : [`deb ${uri} ${rest.split(/\s+/).join(' ')}`]
  })
}

/** deb822 text of sources.list(5). */
export function sourcesText(lines: readonly string[], signedBy: string): string {
  return lines
    .map((line) => {
      const [, uri, suite, ...components] = line.split(' ')
      return `Types: deb\nURIs: ${uri}\nSuites: ${suite}\nComponents: ${components.join(' ')}\nSigned-By: ${signedBy}\n`
    })
    .join('\n')
}

function removeIfPresent(root: NativeRootfsDir, path: string): void {
  if (root.stat(path) !== undefined || root.readlink(path) !== undefined) root.remove(path)
}

function emptyDir(root: NativeRootfsDir, path: string): void {
  for (const name of root.list(path) ?? []) removeTree(root, `${path}/${name}`)
}

function removeTree(root: NativeRootfsDir, path: string): void {
  if (root.stat(path)?.type === 'dir') emptyDir(root, path)
  root.remove(path)
}
