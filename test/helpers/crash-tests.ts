/** A verb run by crash-child.ts that is killed at its N-th call which changes the disk, for the unit tests of recovery. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll } from 'vitest'
import { repositoryRoot } from './addon.ts'
import { bundleHelper } from './bundle.ts'
import { makeTrial, type Trial } from './containers.ts'

const bundle = makeTrial()
const child = join(bundle.root, 'crash-child.mjs')

/** To be called at the top of a test file. */
export function bundleCrashChild(): void {
  beforeAll(async () => {
    await bundleHelper('crash-child.ts', child)
    return () => bundle[Symbol.dispose]()
  })
}

/** True: the child got through, there is no such call. */
export function runChild(verb: string, trial: Trial, killAt: number): boolean {
  const result = spawnSync(process.execPath, [child, verb, trial.root, repositoryRoot, String(killAt)], { encoding: 'utf8' })
  if (result.signal !== 'SIGKILL' && !result.stdout.startsWith('done')) throw new Error(`${result.stderr}${result.stdout}`)
  return result.signal === null
}
