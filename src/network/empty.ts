import type { NetworkDriver } from './driver.ts'
import type { NetworkOptions } from './options.ts'
import { barePlan } from './plan.ts'

/** A network namespace with the loopback alone. */
export const empty: NetworkDriver<NetworkOptions & { readonly type: 'empty' }> = {
  type: 'empty',
  plan: (_config, { index }) => barePlan('empty', index),
}
