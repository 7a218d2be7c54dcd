/** Which addresses a managed network may have: none that the host, its routes or its name servers use already. */

import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import ejs from 'ejs'
import { ExistsError, TslxcError } from '../lib/errors.ts'
import { ensureDir, writeDurable } from '../platform/files.ts'
import { networksDir, type Paths } from '../platform/paths.ts'
import { fromNumber, type Ipv4Cidr, networkText, overlaps, toNumber } from './ipv4.ts'
import { type ManagedNetwork, networkFile, parseManagedNetwork, readManagedNetwork } from './managed-file.ts'
import { type HostLink, type HostRoute, hostNameServers, listRoutes } from './managed-host.ts'

const PREFIX = 24
const READABLE_FILE = 0o644
const READABLE_DIR = 0o755

// Address blocks for private use, RFC 1918, from the one nobody's router hands out by default.
const CANDIDATE_BLOCKS = ['10.0.4.0/16', '10.204.0.0/16', '172.30.0.0/16', '192.168.64.0/16']

const TEMPLATE = `# A network of tslxc: 'tslxc network up <%- bridge %>' makes what stands here.
bridge: <%- bridge %>
ipv4:
  address: <%- prefix %>.1/24        # the bridge's own: the containers' gateway and DNS server
  nat: true
  dhcp: { range: <%- prefix %>.100-<%- prefix %>.199 }
dns: true
domain: tslxc               # containers are NAME and NAME.tslxc
`

/** A range that is in use, and by what, in words. */
export interface UsedRange {
  readonly range: Ipv4Cidr
  readonly by: string
}

interface HostView {
  readonly links: readonly HostLink[]
  readonly report: (text: string) => void
}

/** Everything on the host but the bridge itself. */
export function usedRanges(bridge: string, links: readonly HostLink[], routes: readonly HostRoute[]): UsedRange[] {
  return [
    ...links
      .filter(({ name }) => name !== bridge)
      .flatMap(({ name, addresses }) =>
        addresses.map((range) => ({ range, by: `the address ${range.address}/${range.prefix} of ${name}` })),
      ),
    ...routes
      .filter(({ dev, to }) => dev !== bridge && to.prefix > 0)
      .map(({ to, dev }) => ({ range: to, by: `the route to ${networkText(to)}${dev === undefined ? '' : ` by ${dev}`}` })),
    ...hostNameServers().map((address) => ({ range: { address, prefix: 32 }, by: `the host's name server ${address}` })),
  ]
}

/** The first /24 that overlaps nothing of `used`; 10.0.4.0/24 when that is free. */
export function freeSubnet(used: readonly UsedRange[]): { readonly subnet: Ipv4Cidr; readonly refused: UsedRange | undefined } {
  let refused: UsedRange | undefined
  for (const subnet of candidates()) {
    const clash = used.find(({ range }) => overlaps(range, subnet))
    if (clash === undefined) return { subnet, refused }
    refused ??= clash
  }
  throw new TslxcError('exists', 'cannot choose a network: no private /24 is free on this host', {
    hint: 'write the network file by hand with an address of your choice',
  })
}

function* candidates(): Generator<Ipv4Cidr> {
  for (const block of CANDIDATE_BLOCKS) {
    const first = toNumber(block.replace(/\/.*/, ''))
    const end = first - (first % 2 ** 16) + 2 ** 16
    for (let value = first; value < end; value += 2 ** (32 - PREFIX)) yield { address: fromNumber(value), prefix: PREFIX }
  }
}

/** The file of a network that has none yet, with a free subnet.
 *  @throws ExistsError when the bridge is somebody else's */
export async function createNetworkFile(paths: Paths, bridge: string, { links, report }: HostView): Promise<ManagedNetwork> {
  if (links.some(({ name }) => name === bridge))
    throw new ExistsError(`cannot bring up network '${bridge}': an interface of that name exists, and no network file describes it`, {
      hint: `give it to a container with --link ${bridge}, or choose another name`,
    })
  const used = [...usedRanges(bridge, links, await listRoutes()), ...otherNetworks(paths, bridge)]
  const { subnet, refused } = freeSubnet(used)
  if (refused !== undefined) report(`10.0.4.0/24 overlaps ${refused.by}: took ${networkText(subnet)} instead`)
  const file = networkFile(paths, bridge)
  const text = ejs.render(TEMPLATE, { bridge, prefix: subnet.address.replace(/\.0$/, '') })
  await ensureDir(dirname(file), READABLE_DIR)
  await writeDurable(file, text, READABLE_FILE)
  report(`wrote ${file}`)
  return parseManagedNetwork(text, file)
}

/** Networks that have a file, in alphabetical order. */
export function listNetworkNames(paths: Paths): string[] {
  try {
    const names = readdirSync(networksDir(paths))
    return names
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => name.slice(0, -'.yaml'.length))
      .sort()
  } catch {
    return []
  }
}

// A network that is down has no address on the host, but its containers keep theirs.
function otherNetworks(paths: Paths, bridge: string): UsedRange[] {
  return listNetworkNames(paths)
    .filter((name) => name !== bridge)
    .flatMap((name) => {
      const network = readManagedNetwork(networkFile(paths, name))
      return network === undefined ? [] : [{ range: network.address, by: `the network ${name}` }]
    })
}

/**
 * Refuses addresses that would cut the host off from others. A wider route through a gateway (a VPN's 10.0.0.0/8)
 * is allowed in a file that people wrote: the more specific one wins there.
 * @throws ExistsError
 */
export async function checkOverlap(network: ManagedNetwork, links: readonly HostLink[]): Promise<void> {
  const routes = (await listRoutes()).filter(({ to, via }) => via === undefined || to.prefix >= network.address.prefix)
  const used = usedRanges(network.bridge, links, routes)
  const clash = used.find(({ range }) => overlaps(range, network.address) && range.address !== network.address.address)
  if (clash === undefined) return
  throw new ExistsError(`cannot bring up network '${network.bridge}': ${networkText(network.address)} overlaps ${clash.by}`, {
    hint: `set another ipv4.address in ${network.file}`,
  })
}
