/** The interfaces, with what the managed bridges know filled in. */

import { planInterface } from '../network/index.ts'
import type { NetworkOptions } from '../network/options.ts'
import type { InterfacePlan } from '../runtime/spec.ts'
import type { CompileInput } from './input.ts'

export function networkPlan(input: CompileInput): readonly InterfacePlan[] {
  return interfacesOf(input).map((item, index) => planInterface(item, { container: input.name, index }))
}

type Interface = NetworkOptions & { readonly type: NonNullable<NetworkOptions['type']> }

/** Gateways of managed bridges as addresses, so that spec and guest files say the same. */
export function interfacesOf({ loaded, managed }: CompileInput): readonly Interface[] {
  return (loaded.config.net ?? []).map((item) => {
    const { type = 'empty', ipv4 } = item
    const bridge = item.link === undefined ? undefined : managed.get(item.link)
    if (bridge === undefined || ipv4?.gateway !== 'auto') return { ...item, type }
    return { ...item, type, ipv4: { ...ipv4, gateway: bridge.address.address } }
  })
}
