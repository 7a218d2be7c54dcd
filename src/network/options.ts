/** The keys of one item of `net`, for every type at once: which of them go with which type is checked after merging. */
import type { output } from 'zod/mini'
import { BadValue, field, group, list, type Merged, type Scalar } from '../lib/fields.ts'
import { commandLine, integer, interfaceName, oneOf, text } from '../lib/values.ts'
import { gateway, hardwareAddress, ipAddress } from './address-values.ts'

export const NETWORK_TYPES = ['veth', 'empty', 'none'] as const
const LATER_TYPES: readonly string[] = ['macvlan', 'ipvlan', 'vlan', 'phys']

function networkType(value: Scalar): (typeof NETWORK_TYPES)[number] {
  if (LATER_TYPES.includes(String(value))) throw new BadValue(`network type '${value}' is not supported yet`, 'use veth, empty or none')
  return oneOf(...NETWORK_TYPES)(value)
}

function vethMode(value: Scalar): 'bridge' {
  if (value === 'router') throw new BadValue("veth mode 'router' is not supported yet", 'use bridge')
  return oneOf('bridge')(value)
}

/** LXC_NET_* variables and arguments are added to it at start. */
const script = group({ up: list(commandLine), down: list(commandLine) })

export const networkItem = group({
  type: field(networkType),
  flags: field(oneOf('up', 'down')),
  link: field(interfaceName),
  name: field(interfaceName),
  hwaddr: field((value) => hardwareAddress(text(value))),
  mtu: field(integer(68, 65_535)),
  ipv4: group({ address: list((value) => ipAddress(4, text(value))), gateway: field((value) => gateway(4, text(value))) }),
  ipv6: group({ address: list((value) => ipAddress(6, text(value))), gateway: field((value) => gateway(6, text(value))) }),
  script,
  veth: group({ mode: field(vethMode), pair: field(interfaceName) }),
})

export type NetworkOptions = Merged<NonNullable<output<typeof networkItem>>>
