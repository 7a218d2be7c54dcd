import type { StaticAddress } from '../network/address-values.ts'
import type { NetworkOptions } from '../network/options.ts'
import { interfaceNameOf, staticAddresses } from '../network/veth.ts'

/** An interface as the guest's own network configuration shall have it. */
export interface GuestInterface {
  readonly name: string
  readonly link?: string
  readonly addresses: readonly StaticAddress[]
  /** Addresses, `dev`, or `auto`: known at start alone. */
  readonly gateways: readonly { readonly family: 4 | 6; readonly address: string }[]
  readonly dhcp: boolean
  /** What routers announce is taken, and a link-local address had. */
  readonly ipv6: 'announced' | 'static' | 'off'
}

export function guestInterface(config: NetworkOptions, index: number): GuestInterface {
  const addresses = staticAddresses(config)
  const said4 = config.ipv4?.address ?? []
  const said6 = config.ipv6?.address ?? []
  // No ipv4 address said at all means that the guest asks for one, unless ipv6 is all that is wanted.
  const dhcp = said4.includes('dhcp') || (said4.length === 0 && said6.every((value) => value === 'none'))
  return {
    name: interfaceNameOf(config, index),
    ...(config.link === undefined ? {} : { link: config.link }),
    addresses,
    gateways: [
      ...(config.ipv4?.gateway === undefined ? [] : [{ family: 4 as const, address: config.ipv4.gateway }]),
      ...(config.ipv6?.gateway === undefined ? [] : [{ family: 6 as const, address: config.ipv6.gateway }]),
    ],
    dhcp,
    ipv6: ipv6Mode(addresses, said6, dhcp),
  }
}

function ipv6Mode(addresses: readonly StaticAddress[], said: readonly unknown[], dhcp: boolean): GuestInterface['ipv6'] {
  if (said.includes('none')) return 'off'
  if (addresses.some(({ family }) => family === 6)) return 'static'
  return dhcp ? 'announced' : 'off'
}
