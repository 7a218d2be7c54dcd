/** What the kernel says about links, addresses and routes, by iproute2's JSON. */
import { readFileSync, readlinkSync } from 'node:fs'
import { HostError, NotFoundError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { Paths } from '../platform/paths.ts'
import type { BridgeFacts } from './addresses.ts'
import { type Ipv4Cidr, parseIpv4, parseIpv4Cidr } from './ipv4.ts'
import { findManagedNetwork } from './managed-file.ts'

export interface HostLink {
  readonly name: string
  /** `bridge`, `veth`, `openvswitch` …; absent: a physical one. */
  readonly kind?: string
  readonly up: boolean
  /** The bridge it is a port of. */
  readonly master?: string
  readonly addresses: readonly Ipv4Cidr[]
}

export interface HostRoute {
  /** A default route has prefix 0. */
  readonly to: Ipv4Cidr
  readonly dev?: string
  readonly via?: string
}

interface IpAddr {
  readonly ifname?: string
  readonly master?: string
  readonly flags?: readonly string[]
  readonly linkinfo?: { readonly info_kind?: string }
  readonly addr_info?: readonly { readonly family: string; readonly local?: string; readonly prefixlen?: number }[]
}

interface IpRoute {
  readonly type?: string
  readonly dst?: string
  readonly dev?: string
  readonly gateway?: string
}

const IP_TIMEOUT_MS = 10_000

async function ipJson<T>(argv: readonly string[]): Promise<readonly T[]> {
  const { stdout } = await run(['ip', '-j', ...argv], { timeoutMs: IP_TIMEOUT_MS })
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[])
}

/** Changes links, addresses and neighbours. */
export const ip = async (...argv: readonly string[]): Promise<void> => {
  await run(['ip', ...argv], { timeoutMs: IP_TIMEOUT_MS })
}

export async function listLinks(): Promise<HostLink[]> {
  // iproute2 prints an empty object for what a filter leaves out.
  const rows = (await ipJson<IpAddr>(['-d', 'addr', 'show'])).filter((row) => row.ifname !== undefined)
  return rows.map((row) => ({
    name: (row.ifname ?? '').replace(/@.*$/, ''),
    up: row.flags?.includes('UP') ?? false,
    addresses: (row.addr_info ?? []).flatMap(({ family, local, prefixlen }) =>
      family === 'inet' && local !== undefined && prefixlen !== undefined ? [{ address: local, prefix: prefixlen }] : [],
    ),
    ...(row.master === undefined ? {} : { master: row.master }),
    ...(row.linkinfo?.info_kind === undefined ? {} : { kind: row.linkinfo.info_kind }),
  }))
}

/** Of every table, without the kernel's own local and broadcast entries. */
export async function listRoutes(): Promise<HostRoute[]> {
  const rows = await ipJson<IpRoute>(['-4', 'route', 'show', 'table', 'all'])
  return rows.flatMap(({ type, dst, dev, gateway }) => {
    if (type === 'local' || type === 'broadcast' || type === 'multicast' || dst === undefined) return []
    const to = dst === 'default' ? { address: '0.0.0.0', prefix: 0 } : (parseIpv4Cidr(dst) ?? hostRoute(dst))
    return to === undefined ? [] : [{ to, ...(dev === undefined ? {} : { dev }), ...(gateway === undefined ? {} : { via: gateway }) }]
  })
}

function hostRoute(dst: string): Ipv4Cidr | undefined {
  const address = parseIpv4(dst)
  return address === undefined ? undefined : { address, prefix: 32 }
}

/** Servers of the host's resolv.conf: a network of ours must not cover them. */
export function hostNameServers(file = '/etc/resolv.conf'): string[] {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, server]) => parseIpv4(server ?? '') ?? [])
}

/** Which network namespace and which boot a run record belongs to. */
export interface NetworkPlace {
  readonly bootId: string
  readonly netns: string
}

export const currentPlace = (): NetworkPlace => ({
  bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  netns: readlinkSync('/proc/self/ns/net'),
})

export const samePlace = (a: NetworkPlace, b: NetworkPlace): boolean => a.bootId === b.bootId && a.netns === b.netns

/** What decides about addresses on `bridge`. A managed one need not be up.
 *  @throws NotFoundError, or HostError when the link is no bridge. */
export async function describeBridge(paths: Paths, bridge: string): Promise<BridgeFacts> {
  const network = findManagedNetwork(paths, bridge)
  if (network !== undefined)
    return { bridge, managed: true, address: network.address, ...(network.dhcp === undefined ? {} : { dhcp: network.dhcp }) }
  const link = (await listLinks()).find(({ name }) => name === bridge)
  if (link === undefined)
    throw new NotFoundError(`cannot use bridge '${bridge}': it does not exist`, {
      hint: `run 'tslxc network up ${bridge}', or pass --link with a bridge that is there`,
    })
  if (link.kind !== 'bridge' && link.kind !== 'openvswitch')
    throw new HostError(`cannot use bridge '${bridge}': it is a ${link.kind ?? 'physical'} interface, not a bridge`, {
      hint: `make a bridge with ${bridge} as its port, and pass --link with the bridge`,
    })
  const router = (await listRoutes()).find(({ to, dev, via }) => to.prefix === 0 && dev === bridge && via !== undefined)?.via
  const address = link.addresses[0]
  return { bridge, managed: false, ...(address === undefined ? {} : { address }), ...(router === undefined ? {} : { router }) }
}
