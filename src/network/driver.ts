/** One interface type of `net.N`. Pure: says which interface native must make, move and address. */
import type { InterfacePlan } from '../runtime/spec.ts'

export interface NetworkConfigBase {
  readonly type: string
}

export interface NetworkDriver<C extends NetworkConfigBase = NetworkConfigBase> {
  readonly type: C['type']
  plan(config: C, context: { readonly container: string; readonly index: number }): InterfacePlan
}
