/** What `--ip` may say, and whether an address can be given to a container. Pure: what is known about the bridge comes in as data. */
import { TslxcError, UsageError } from '../lib/errors.ts'
import {
  broadcastOf,
  contains,
  fromNumber,
  type Ipv4Cidr,
  type Ipv4Range,
  inRange,
  networkOf,
  networkText,
  parseIpv4,
  toNumber,
} from './ipv4.ts'

export type AddressRequest =
  | { readonly kind: 'auto' }
  | { readonly kind: 'dhcp' }
  | { readonly kind: 'static'; readonly address: string; readonly prefix?: number }

/** What the host knows about a bridge, see `describeBridge` in bridges.ts. */
export interface BridgeFacts {
  readonly bridge: string
  /** A network file of ours names it. */
  readonly managed: boolean
  /** The bridge's own address; absent: it has none (a plain LAN bridge may not). */
  readonly address?: Ipv4Cidr
  /** The router of the host's default route when that route leaves through this bridge. */
  readonly router?: string
  /** dnsmasq's range on a managed bridge. */
  readonly dhcp?: Ipv4Range
}

/** An address that is taken, and by what, in words: `container 'db'`, `the host (eth0)`. */
export interface TakenAddress {
  readonly address: string
  readonly by: string
}

export interface ChosenAddress {
  readonly address: string
  readonly prefix: number
  /** `auto` when it is the bridge's own address, which native reads at start; absent: no gateway is known. */
  readonly gateway?: string
}

/** `--ip ADDRESS[/PREFIX]|auto|dhcp`.
 *  @throws UsageError when it is none of these. */
export function parseAddressRequest(text: string): AddressRequest {
  if (text === 'auto' || text === 'dhcp') return { kind: text }
  const [host = '', prefixText, ...rest] = text.split('/')
  const address = parseIpv4(host)
  const prefix = prefixText === undefined ? undefined : Number(prefixText)
  const prefixFits = prefixText === undefined || (/^\d{1,2}$/.test(prefixText) && Number(prefixText) <= 32)
  if (address === undefined || !prefixFits || rest.length > 0)
    throw new UsageError(`cannot use address '${text}': it is not ADDRESS, ADDRESS/PREFIX, 'auto' or 'dhcp'`, {
      hint: 'pass --ip 10.0.4.10, --ip auto or --ip dhcp',
    })
  return { kind: 'static', address, ...(prefix === undefined ? {} : { prefix }) }
}

/**
 * Decides the address of a container on `facts.bridge`.
 * Inside dnsmasq's range a fixed address is allowed: the reservation keeps dnsmasq from handing it out.
 * @throws UsageError or TslxcError `exists` (in use) with the reason.
 */
export function chooseAddress(
  facts: BridgeFacts,
  request: Exclude<AddressRequest, { kind: 'dhcp' }>,
  taken: readonly TakenAddress[],
  gateway?: string,
): ChosenAddress {
  if (request.kind === 'auto') {
    const network = autoNetwork(facts)
    return { address: freeAddress(facts, network, taken), prefix: network.prefix, ...gatewayOf(facts, network, gateway) }
  }
  const network = networkFor(facts, request)
  const { address } = request
  checkHost(facts, network, address)
  const holder = taken.find((entry) => entry.address === address)
  if (holder !== undefined)
    throw new TslxcError('exists', `cannot use address ${address}: it is in use by ${holder.by}`, {
      hint: 'pass another address, or --ip auto for a free one',
    })
  return { address, prefix: network.prefix, ...gatewayOf(facts, network, gateway) }
}

function autoNetwork({ bridge, managed, address }: BridgeFacts): Ipv4Cidr {
  if (managed && address !== undefined) return address
  throw new UsageError(`cannot choose an address on '${bridge}': it is not a managed network, so nobody knows which addresses are free`, {
    hint: 'pass --ip ADDRESS, or --ip dhcp when a DHCP server answers there',
  })
}

/** The network the address lies in: the bridge's, or the one the prefix spans on a bridge that is not ours. */
function networkFor({ bridge, managed, address: own }: BridgeFacts, request: { address: string; prefix?: number }): Ipv4Cidr {
  const { address, prefix } = request
  if (own === undefined) {
    if (prefix === undefined)
      throw new UsageError(`cannot use address ${address}: bridge '${bridge}' has no IPv4 address to take the prefix from`, {
        hint: `pass --ip ${address}/24`,
      })
    return { address, prefix }
  }
  if (!contains(own, address) && (managed || prefix === undefined))
    throw new UsageError(`cannot use address ${address}: it is outside ${networkText(own)}, the network of '${bridge}'`, {
      hint: managed
        ? 'pass an address of that network, or --ip auto'
        : `pass --ip ${address}/PREFIX and --gw to use another network on this bridge`,
    })
  if (managed && prefix !== undefined && prefix !== own.prefix)
    throw new UsageError(`cannot use address ${address}/${prefix}: the network of '${bridge}' has prefix ${own.prefix}`, {
      hint: `pass --ip ${address}`,
    })
  return prefix === undefined ? own : { address, prefix }
}

function checkHost({ bridge, address: own }: BridgeFacts, network: Ipv4Cidr, address: string): void {
  const refuse = (reason: string): never => {
    throw new UsageError(`cannot use address ${address}: ${reason}`, { hint: 'pass another address, or --ip auto for a free one' })
  }
  const first = toNumber(address) >>> 24
  if (first === 0 || first === 127 || first >= 224) refuse('it is not an address a host can have')
  if (address === own?.address) refuse(`it is the address of bridge '${bridge}'`)
  if (network.prefix >= 31) return
  if (address === networkOf(network)) refuse(`it is the network address of ${networkText(network)}`)
  if (address === broadcastOf(network)) refuse(`it is the broadcast address of ${networkText(network)}`)
}

function gatewayOf({ address: own, router, managed }: BridgeFacts, network: Ipv4Cidr, wanted: string | undefined): { gateway?: string } {
  if (wanted !== undefined) return { gateway: checkedGateway(network, wanted) }
  if (managed) return { gateway: 'auto' }
  // On a LAN bridge the host is one machine among others: its own router is the way out.
  if (router !== undefined && contains(network, router)) return { gateway: router }
  return own !== undefined && contains(network, own.address) ? { gateway: 'auto' } : {}
}

function checkedGateway(network: Ipv4Cidr, text: string): string {
  if (text === 'auto' || text === 'dev') return text
  const gateway = parseIpv4(text)
  if (gateway === undefined) throw new UsageError(`cannot use gateway '${text}': it is not an IPv4 address`, { hint: 'pass --gw ADDRESS' })
  if (!contains(network, gateway))
    throw new UsageError(`cannot use gateway ${gateway}: it is outside ${networkText(network)}`, {
      hint: 'pass a gateway inside the network of --ip',
    })
  return gateway
}

/** Below dnsmasq's range first, then above it, last inside it. */
function freeAddress({ bridge, dhcp }: BridgeFacts, network: Ipv4Cidr, taken: readonly TakenAddress[]): string {
  const used = new Set([network.address, ...taken.map((entry) => entry.address)])
  const end = toNumber(broadcastOf(network))
  for (const insideRange of [false, true])
    for (let value = toNumber(networkOf(network)) + 1; value < end; value++) {
      const address = fromNumber(value)
      if (used.has(address) || (dhcp !== undefined && inRange(dhcp, address) !== insideRange)) continue
      if (dhcp !== undefined || !insideRange) return address
    }
  throw new TslxcError('exists', `cannot choose an address on '${bridge}': no address of ${networkText(network)} is free`, {
    hint: 'destroy a container, or make another network with a wider prefix',
  })
}
