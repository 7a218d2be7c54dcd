/** Making the root file systems of copies. A running source stands still only while it must. */
import { randomBytes } from 'node:crypto'
import pLimit from 'p-limit'
import { throwIfAborted } from '../../lib/abort.ts'
import type { OnStep } from '../../lib/progress.ts'
import type { Volume } from '../../storage/driver.ts'
import { copyVolume } from '../../storage/generic.ts'
import { driverOf } from '../../storage/index.ts'
import { quiesced } from '../quiesce.ts'
import type { StoreContext } from '../store.ts'
import type { Creation } from '../transaction.ts'
import type { CopySource } from './copy-source.ts'
import type { VolumePlan } from './copy-volume.ts'

// They wait for the disk more than for a processor.
const AT_ONCE = 4

export interface MadeVolumes {
  /** In the order of the creations. */
  readonly volumes: readonly Volume[]
  /** How long the source stood still; absent: it did not have to. */
  readonly frozenMs?: number
}

/** The journals know of them already. After a failure some may be there: the journals say which. */
export async function makeVolumes(
  context: StoreContext,
  source: CopySource,
  plan: VolumePlan,
  creations: readonly Creation[],
): Promise<MadeVolumes> {
  const { name } = source.container
  if (!source.isLive) return { volumes: await makeEach(context, plan, creations, name) }
  const still = <T>(action: () => Promise<T>) => quiesced(context, name, plan.source, action)
  const [first, ...others] = creations
  if (first === undefined) return { volumes: [] }
  if (plan.how === 'clone' && plan.source.cow) {
    const { result: volumes, ...frozen } = await still(() => makeEach(context, plan, creations, name))
    return { volumes, ...frozen }
  }
  if (plan.source.cow) return await fromSnapshot(context, source, plan, creations)
  // The others are made from the first one, which nobody writes to.
  const { result: one, ...frozen } = await still(() => makeOne(plan, first))
  const rest = await makeEach(context, { ...plan, from: one, how: plan.driver.name === one.driver ? plan.how : 'copy' }, others, name)
  return { volumes: [one, ...rest], ...frozen }
}

/** A full copy of a running source that can be snapshotted: it stands still for the snapshot alone. */
async function fromSnapshot(
  context: StoreContext,
  source: CopySource,
  plan: VolumePlan,
  creations: readonly Creation[],
): Promise<MadeVolumes> {
  const { name, dir } = source.container
  const driver = driverOf(context.paths, plan.from)
  const mark = `copy-${randomBytes(3).toString('hex')}`
  const at = { ...plan.at(source.container), dir, name: `rootfs.${mark}`, label: `${name}@${mark}` }
  await creations[0]?.willMake(await driver.locate(at))
  const { result: snapshot, ...frozen } = await quiesced(context, name, plan.source, () =>
    driver.snapshot(plan.from, at, { signal: context.signal }),
  )
  try {
    return { volumes: await makeEach(context, { ...plan, from: snapshot }, creations, name), ...frozen }
  } finally {
    await driver.destroy(snapshot)
  }
}

/** All of them, or the error of the first that failed, when nothing is being made any more. */
async function makeEach(context: StoreContext, plan: VolumePlan, creations: readonly Creation[], name: string): Promise<Volume[]> {
  const limit = pLimit(AT_ONCE)
  const tell = counter(context.onStep, `copying '${name}'`, creations.length)
  let hasFailed = false
  const make = async (creation: Creation): Promise<Volume | undefined> => {
    if (hasFailed) return undefined
    try {
      throwIfAborted(context.signal)
      const volume = await makeOne(plan, creation)
      tell()
      return volume
    } catch (error) {
      hasFailed = true
      throw error
    }
  }
  const results = await Promise.allSettled(creations.map((creation) => limit(() => make(creation))))
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.flatMap((result) => (result.status === 'fulfilled' && result.value !== undefined ? [result.value] : []))
}

function counter(onStep: OnStep | undefined, text: string, total: number): () => void {
  onStep?.({ text })
  let done = 0
  return () => {
    if (total > 1) onStep?.({ text, done: ++done, total })
  }
}

async function makeOne({ from, driver, how, at }: VolumePlan, { context, container }: Creation): Promise<Volume> {
  const { paths, signal } = context
  const to = at(container)
  const made = how === 'clone' ? await driver.clone(from, to, { signal }) : await copyVolume(paths, from, { driver, at: to }, { signal })
  if (made.limitBytes === from.limitBytes || from.limitBytes === undefined) return made
  // A limit is of the container, not of the place where it lies; a store that knows none goes without.
  const capabilities = await driver.probe(to)
  return capabilities.usable && capabilities.quota === true ? await driver.resize(made, from.limitBytes) : made
}
