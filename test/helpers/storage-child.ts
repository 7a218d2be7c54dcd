/**
 * Bundled and run as a process of its own, which a test kills: one call of a storage driver. Prints `ready` before it,
 * `done` after it. argv[2], JSON: {root, installRoot, driver, verb, arguments}.
 */
import { makePaths } from '../../src/platform/paths.ts'
import { storageDriver } from '../../src/storage/index.ts'

interface Call {
  readonly root: string
  readonly installRoot: string
  readonly driver: string
  readonly verb: string
  readonly arguments: readonly unknown[]
}

const call = JSON.parse(process.argv[2] ?? '{}') as Call
const driver = storageDriver(makePaths(call), call.driver) as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>
process.stdout.write('ready\n')
await driver[call.verb]?.(...call.arguments)
process.stdout.write('done\n')
