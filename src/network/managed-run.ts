/** Run-time files of the managed networks: below <runBase>/networks, where dnsmasq's own user can read names and reservations. */
import { chmod, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ensureDir, readJson } from '../platform/files.ts'
import type { Paths } from '../platform/paths.ts'
import type { DnsmasqFiles } from './dnsmasq-text.ts'
import { currentPlace, type NetworkPlace, samePlace } from './managed-host.ts'

const RECORD_VERSION = 1
const TRAVERSABLE = 0o711
const READABLE_DIR = 0o755

export interface NetworkFiles extends DnsmasqFiles {
  readonly dir: string
  readonly state: string
}

/** What `up` found and made, so that `down` takes back that and nothing else. Written before the thing is made. */
export interface NetworkState extends NetworkPlace {
  readonly version: typeof RECORD_VERSION
  readonly bridgeMade: boolean
  readonly addressMade: boolean
}

export const networksRunDir = (paths: Paths): string => join(paths.runBase, 'networks')
export const networksLock = (paths: Paths): string => join(networksRunDir(paths), '.lock')
export const forwardingFile = (paths: Paths): string => join(networksRunDir(paths), '.forwarding.json')

export function networkFiles(paths: Paths, bridge: string): NetworkFiles {
  const dir = join(networksRunDir(paths), bridge)
  return {
    dir,
    state: join(dir, 'state.json'),
    config: join(dir, 'dnsmasq.conf'),
    pid: join(dir, 'dnsmasq.pid'),
    hostsDir: join(dir, 'hosts.d'),
    dhcpHostsDir: join(dir, 'dhcp-hosts.d'),
    // DHCP leases outlive a boot: a guest asks for its old address.
    leases: join(paths.allocDir, 'dhcp', `${bridge}.leases`),
  }
}

/** The directory of the networks' lock. */
export async function ensureNetworksDir(paths: Paths): Promise<void> {
  await ensureDir(paths.runBase, TRAVERSABLE)
  await ensureDir(networksRunDir(paths), READABLE_DIR)
}

/** All directories of one network; dnsmasq reads the last two after it has given up root. */
export async function ensureNetworkDirs(paths: Paths, files: NetworkFiles): Promise<void> {
  for (const dir of [networksRunDir(paths), files.dir, files.hostsDir, files.dhcpHostsDir]) {
    await ensureDir(dir, READABLE_DIR)
    await chmod(dir, READABLE_DIR)
  }
  await ensureDir(dirname(files.leases))
  await openPath(paths)
}

// Every parent below the root is ours; what must stay private has 0700 of its own.
async function openPath(paths: Paths): Promise<void> {
  const stop = paths.root === '' ? '/run' : dirname(paths.root)
  for (let dir = paths.runBase; dir !== stop && dir !== '/'; dir = dirname(dir)) {
    const { mode } = await stat(dir)
    if ((mode & 0o001) === 0) await chmod(dir, (mode & 0o7777) | TRAVERSABLE)
  }
}

/** The record of this boot and network namespace; an older one tells nothing about what is here now. */
export async function readNetworkState(files: NetworkFiles): Promise<NetworkState | undefined> {
  const state = await readJson<NetworkState>(files.state, RECORD_VERSION)
  return state !== undefined && samePlace(state, currentPlace()) ? state : undefined
}

export const newNetworkState = (bridgeMade: boolean, addressMade: boolean): NetworkState => ({
  version: RECORD_VERSION,
  ...currentPlace(),
  bridgeMade,
  addressMade,
})
