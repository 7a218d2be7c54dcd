import type { NetworkDriver } from './driver.ts'
import type { NetworkOptions } from './options.ts'
import { barePlan } from './plan.ts'

/** The host's own network: no namespace is made. */
export const none: NetworkDriver<NetworkOptions & { readonly type: 'none' }> = {
  type: 'none',
  plan: (_config, { index }) => barePlan('none', index),
}
