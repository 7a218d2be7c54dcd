import { createHash } from 'node:crypto'
import type { InterfacePlan } from '../runtime/spec.ts'
import type { AddressValue, StaticAddress } from './address-values.ts'
import type { NetworkDriver } from './driver.ts'
import type { NetworkOptions } from './options.ts'

type VethConfig = NetworkOptions & { readonly type: 'veth' }

/** A pair of interfaces: one inside, its peer on the host, in a bridge where `link` names one. */
export const veth: NetworkDriver<VethConfig> = {
  type: 'veth',
  plan(config, { container, index }): InterfacePlan {
    const { link, hwaddr, mtu, script } = config
    return {
      index,
      type: 'veth',
      name: interfaceNameOf(config, index),
      ...(link === undefined ? {} : { link }),
      ...(config.veth?.pair === undefined ? {} : { hostName: config.veth.pair }),
      ...(hwaddr === undefined ? {} : { hwaddr: chooseDigits(hwaddr, `${container}/${index}`) }),
      ...(mtu === undefined ? {} : { mtu }),
      up: config.flags !== 'down',
      addresses: staticAddresses(config),
      gateways: gatewaysOf(config),
      scripts: { up: script?.up ?? [], down: script?.down ?? [] },
    }
  },
}

/** What it is called inside. */
export const interfaceNameOf = (config: NetworkOptions, index: number): string => config.name ?? `eth${index}`

export function staticAddresses(config: NetworkOptions): readonly StaticAddress[] {
  const isStatic = (value: AddressValue): value is StaticAddress => typeof value === 'object'
  return [...(config.ipv4?.address ?? []), ...(config.ipv6?.address ?? [])].filter(isStatic)
}

function gatewaysOf({ ipv4, ipv6 }: VethConfig): InterfacePlan['gateways'] {
  return [
    ...(ipv4?.gateway === undefined ? [] : [{ family: 4 as const, address: ipv4.gateway }]),
    ...(ipv6?.gateway === undefined ? [] : [{ family: 6 as const, address: ipv6.gateway }]),
  ]
}

/** The same container gets the same digits each time. */
function chooseDigits(pattern: string, seed: string): string {
  const digits = createHash('sha256').update(seed).digest('hex')
  // The second digit's lowest bit marks groups, the next locally administered addresses (IEEE 802).
  return pattern.replace(/x/g, (_, at: number) => (at === 1 ? '2' : (digits[at] ?? '0')))
}
