/** Parsers of addresses as they stand below `net`. Throw BadValue. */
import { Address4, Address6 } from 'ip-address'
import { BadValue } from '../lib/fields.ts'

export interface StaticAddress {
  readonly family: 4 | 6
  readonly address: string
  readonly prefix: number
  readonly broadcast?: string
}

/** `ADDRESS/PREFIX [BROADCAST]`, or `dhcp`, or `none`: the guest shall ask for none. */
export type AddressValue = StaticAddress | 'dhcp' | 'none'

const EXAMPLE = { 4: '10.0.4.10/24', 6: 'fd00::10/64' } as const

export function ipAddress(family: 4 | 6, value: string): AddressValue {
  if (value === 'none' || (value === 'dhcp' && family === 4)) return value
  const [cidr = '', broadcast, ...rest] = value.trim().split(/\s+/)
  const [address = '', prefix, ...more] = cidr.split('/')
  checkAddress(family, address)
  if (prefix === undefined) throw new BadValue(`the address ${address} has no prefix`, `write ${address}/${family === 4 ? 24 : 64}`)
  const bits = Number(prefix)
  const widest = family === 4 ? 32 : 128
  if (!/^\d{1,3}$/.test(prefix) || bits > widest || more.length > 0)
    throw new BadValue(`'${cidr}' has a bad prefix: a number from 0 to ${widest} is expected`, `write ${EXAMPLE[family]}`)
  if (broadcast === undefined) return { family, address, prefix: bits }
  if (family === 6 || rest.length > 0) throw new BadValue(`'${value}' is not one address`, `write ${EXAMPLE[family]}`)
  checkAddress(4, broadcast)
  return { family, address, prefix: bits, broadcast }
}

export function gateway(family: 4 | 6, value: string): string {
  if (value !== 'auto' && value !== 'dev') checkAddress(family, value)
  return value
}

/** An address of either family, without a prefix. */
export function nameServer(value: string): string {
  checkAddress(value.includes(':') ? 6 : 4, value)
  return value
}

/** Six pairs of hexadecimal digits; an `x` stands for a digit that the program chooses. */
export function hardwareAddress(value: string): string {
  const address = value.toLowerCase()
  if (!/^[0-9a-fx]{2}(:[0-9a-fx]{2}){5}$/.test(address)) throw new BadValue(`'${value}' is no hardware address`, 'write 10:66:6a:xx:xx:xx')
  // IEEE 802: the lowest bit of the first octet marks groups, which no interface may have.
  if (/[13579bdf]/.test(address[1] ?? '')) throw new BadValue(`'${value}' is a multicast address`, 'make the second digit even')
  return address
}

function checkAddress(family: 4 | 6, address: string): void {
  const valid =
    family === 4 ? /^\d{1,3}(\.\d{1,3}){3}$/.test(address) && Address4.isValid(address) : Address6.isValid(address) && !/[/%]/.test(address)
  if (!valid) throw new BadValue(`'${address}' is not an IPv${family} address`, `for example ${EXAMPLE[family].split('/')[0]}`)
}
