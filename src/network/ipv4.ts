/** IPv4 arithmetic in the few forms the managed networks need, on top of ip-address. */
import { Address4 } from 'ip-address'

/** An address and the length of its network's prefix. */
export interface Ipv4Cidr {
  readonly address: string
  readonly prefix: number
}

/** Inclusive. */
export interface Ipv4Range {
  readonly first: string
  readonly last: string
}

/** The canonical dotted quad, or undefined when `text` is anything else (a prefix, leading zeroes, too few parts). */
export function parseIpv4(text: string): string | undefined {
  if (text.includes('/')) return undefined
  try {
    return new Address4(text).correctForm()
  } catch {
    return undefined
  }
}

/** `ADDRESS/PREFIX`; undefined when malformed. */
export function parseIpv4Cidr(text: string): Ipv4Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,2})$/.exec(text)
  const address = match?.[1] === undefined ? undefined : parseIpv4(match[1])
  const prefix = Number(match?.[2])
  return address === undefined || prefix > 32 ? undefined : { address, prefix }
}

/** `FIRST-LAST`; undefined when malformed or FIRST is above LAST. */
export function parseIpv4Range(text: string): Ipv4Range | undefined {
  const [first, last, ...rest] = text.split('-').map((part) => parseIpv4(part.trim()))
  if (first === undefined || last === undefined || rest.length > 0) return undefined
  return toNumber(first) <= toNumber(last) ? { first, last } : undefined
}

export const toNumber = (address: string): number => Number(new Address4(address).bigInt())
export const fromNumber = (value: number): string => Address4.fromBigInt(BigInt(value)).correctForm()

const blockSize = (prefix: number): number => 2 ** (32 - prefix)

/** The first address of the block `cidr` lies in. */
export const networkOf = ({ address, prefix }: Ipv4Cidr): string => fromNumber(toNumber(address) - (toNumber(address) % blockSize(prefix)))

/** The last address of the block. */
export const broadcastOf = (cidr: Ipv4Cidr): string => fromNumber(toNumber(networkOf(cidr)) + blockSize(cidr.prefix) - 1)

/** `10.0.4.0/24`. */
export const networkText = (cidr: Ipv4Cidr): string => `${networkOf(cidr)}/${cidr.prefix}`

export const netmaskOf = (prefix: number): string => fromNumber(2 ** 32 - blockSize(prefix))

export const contains = (network: Ipv4Cidr, address: string): boolean =>
  networkOf(network) === networkOf({ address, prefix: network.prefix })

export const overlaps = (a: Ipv4Cidr, b: Ipv4Cidr): boolean => {
  const prefix = Math.min(a.prefix, b.prefix)
  return networkOf({ address: a.address, prefix }) === networkOf({ address: b.address, prefix })
}

export const inRange = (range: Ipv4Range, address: string): boolean =>
  toNumber(range.first) <= toNumber(address) && toNumber(address) <= toNumber(range.last)
