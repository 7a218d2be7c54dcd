/** A change of config.yaml by a command: under the container's lock, with a new limit of the disk in force at once. */
import type { ChangeRequest } from '../compile/save.ts'
import { bringLimit, limitIn } from './disk/limit.ts'
import { lockExisting } from './settle.ts'
import { containerOf, type StoreContext } from './store.ts'

export type ConfigChange = Required<Pick<ChangeRequest, 'lock' | 'apply'>> & {
  /** Whether a limit of the disk was put into force. */
  hasLimited(): boolean
}

/** What another edit has left undone is left to the next start. */
export function configChange(context: StoreContext, name: string): ConfigChange {
  let limited = false
  return {
    lock: () => lockExisting(context, name, 'change'),
    async apply({ before, after, loaded }) {
      const container = containerOf(context.paths, name)
      if (limitIn(context.paths, container, before) === loaded.config.limits?.disk) return false
      limited = (await bringLimit(context, container, loaded, after)) !== undefined
      return limited
    },
    hasLimited: () => limited,
  }
}
