/** The interface types: adding one is a line here. */
import type { InterfacePlan } from '../runtime/spec.ts'
import { empty } from './empty.ts'
import { none } from './none.ts'
import type { NETWORK_TYPES, NetworkOptions } from './options.ts'
import { veth } from './veth.ts'

type NetworkType = (typeof NETWORK_TYPES)[number]
type PlanContext = Parameters<typeof veth.plan>[1]

const drivers = { veth, empty, none } satisfies Record<NetworkType, unknown>

/** One item of `net` whose type is known. */
export function planInterface(config: NetworkOptions & { readonly type: NetworkType }, context: PlanContext): InterfacePlan {
  switch (config.type) {
    case 'veth':
      return drivers.veth.plan({ ...config, type: 'veth' }, context)
    case 'empty':
      return drivers.empty.plan({ ...config, type: 'empty' }, context)
    case 'none':
      return drivers.none.plan({ ...config, type: 'none' }, context)
  }
}
