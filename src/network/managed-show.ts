/** What a managed network is now. Takes no lock and changes nothing. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NotFoundError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import { which } from '../platform/host.ts'
import type { Paths } from '../platform/paths.ts'
import { findDnsmasq } from './dnsmasq.ts'
import { tableName } from './firewall.ts'
import { forwardingValue, foundForwarding } from './forwarding.ts'
import { networkText } from './ipv4.ts'
import { type DynamicLease, listDynamicLeases, readLeases } from './leases.ts'
import { findManagedNetwork, type ManagedNetwork } from './managed-file.ts'
import { type HostLink, listLinks } from './managed-host.ts'
import { forwardingFile, networkFiles } from './managed-run.ts'

export interface NetworkPort {
  readonly interface: string
  /** Absent: not an interface of a container of ours. */
  readonly container?: string
}

export interface NetworkReport {
  readonly bridge: string
  readonly file: string
  /** `partly`: the bridge is there, but not all that the file says. */
  readonly state: 'up' | 'partly' | 'down'
  /** What keeps it from `up`, in words. */
  readonly missing: readonly string[]
  readonly address: string
  readonly network: string
  readonly nat: boolean
  readonly dhcp?: string
  readonly dns: boolean
  readonly domain?: string
  readonly dnsmasqPid?: number
  readonly forwarding: { readonly now: string; readonly found?: string }
  readonly ports: readonly NetworkPort[]
  readonly addresses: readonly { readonly address: string; readonly container: string; readonly lxcpath: string }[]
  readonly dhcpLeases: readonly DynamicLease[]
}

/** @throws NotFoundError when no file describes it */
export async function describeNetwork(paths: Paths, bridge: string): Promise<NetworkReport> {
  const network = findManagedNetwork(paths, bridge)
  if (network === undefined)
    throw new NotFoundError(`cannot show network '${bridge}': it does not exist`, { hint: `run 'tslxc network up ${bridge}' to make it` })
  const links = await listLinks()
  const dnsmasq = findDnsmasq(networkFiles(paths, bridge))
  const pid = dnsmasq?.here ? dnsmasq.pid : undefined
  const missing = await missingParts(network, links, pid)
  const found = await foundForwarding(forwardingFile(paths))
  const leases = await readLeases(paths)
  return {
    bridge,
    file: network.file,
    state: missing.length === 0 ? 'up' : links.some(({ name }) => name === bridge) ? 'partly' : 'down',
    missing,
    address: `${network.address.address}/${network.address.prefix}`,
    network: networkText(network.address),
    nat: network.nat,
    ...(network.dhcp === undefined ? {} : { dhcp: `${network.dhcp.first}-${network.dhcp.last}` }),
    dns: network.dns,
    ...(network.domain === undefined ? {} : { domain: network.domain }),
    ...(pid === undefined ? {} : { dnsmasqPid: pid }),
    forwarding: { now: forwardingValue(), ...(found === undefined ? {} : { found }) },
    ports: portsOf(paths, bridge, links),
    addresses: leases
      .filter((lease) => lease.network === bridge)
      .map(({ address, name, lxcpath }) => ({ address, container: name, lxcpath })),
    dhcpLeases: await listDynamicLeases(paths, bridge),
  }
}

/** What `network up` would mend. */
export async function missingParts(network: ManagedNetwork, links: readonly HostLink[], dnsmasqPid: number | undefined): Promise<string[]> {
  const link = links.find(({ name }) => name === network.bridge)
  if (link === undefined) return [`bridge ${network.bridge} does not exist`]
  const missing: string[] = []
  if (!link.up) missing.push(`bridge ${network.bridge} is down`)
  if (!link.addresses.some(({ address }) => address === network.address.address))
    missing.push(`the bridge lacks the address ${network.address.address}`)
  if (network.nat && !(await hasTable(network.bridge))) missing.push(`nftables has no table inet ${tableName(network.bridge)}`)
  if ((network.dns || network.dhcp !== undefined) && dnsmasqPid === undefined) missing.push('dnsmasq is not running')
  if (forwardingValue() !== '1') missing.push('IPv4 forwarding is off')
  return missing
}

async function hasTable(bridge: string): Promise<boolean> {
  if (which('nft') === undefined) return false
  const { status } = await run(['nft', 'list', 'table', 'inet', tableName(bridge)], { okCodes: [0, 1] })
  return status === 0
}

function portsOf(paths: Paths, bridge: string, links: readonly HostLink[]): NetworkPort[] {
  const owners = interfaceOwners(paths)
  return links
    .filter(({ master }) => master === bridge)
    .map(({ name }) => {
      const container = owners.get(name)
      return { interface: name, ...(container === undefined ? {} : { container }) }
    })
}

interface StateFile {
  readonly interfaces?: readonly { readonly hostName?: string }[]
}

/** Host-side name to container, from the state files of every lxcpath. */
export function interfaceOwners(paths: Paths): Map<string, string> {
  const owners = new Map<string, string>()
  for (const lxcpathId of listDir(paths.runBase).filter((name) => /^\d+-\d+$/.test(name)))
    for (const name of listDir(join(paths.runBase, lxcpathId))) {
      const state = readState(join(paths.runBase, lxcpathId, name, 'state.json'))
      for (const { hostName } of state?.interfaces ?? []) if (hostName !== undefined) owners.set(hostName, name)
    }
  return owners
}

function listDir(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function readState(file: string): StateFile | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StateFile
  } catch {
    return undefined
  }
}
