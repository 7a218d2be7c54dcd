import type { InterfacePlan } from '../runtime/spec.ts'

/** An interface of which nothing is to be made. */
export function barePlan(type: InterfacePlan['type'], index: number): InterfacePlan {
  return { index, type, up: true, addresses: [], gateways: [], scripts: { up: [], down: [] } }
}
