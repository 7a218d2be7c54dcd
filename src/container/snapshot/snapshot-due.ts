/** What `snapshot --due` does: takes what the schedules say, thins it out, removes what has expired. */
import { join } from 'node:path'
import type { LoadedConfig } from '../../config/loaded.ts'
import { duration } from '../../config/schedule-values.ts'
import { UsageError } from '../../lib/errors.ts'
import { BadValue } from '../../lib/fields.ts'
import { ensureDir, readJson, writeJson } from '../../platform/files.ts'
import { forMany, type Outcome } from '../many.ts'
import { type Container, containerOf, type StoreContext } from '../store.ts'
import { takeSnapshot } from './snapshot.ts'
import { expendable, isDue } from './snapshot-keep.ts'
import { removeSnapshots } from './snapshot-remove.ts'
import { listSnapshots, snapshotsDir } from './snapshot-store.ts'

export interface DueReport {
  readonly name: string
  readonly taken?: string
  readonly removed: readonly string[]
}

interface LastRun {
  readonly version: 1
  /** RFC 3339. */
  readonly lastRun: string
}

type Schedule = NonNullable<LoadedConfig['config']['snapshots']>

/** Of each container by itself: one that fails is tried again by the next call, the others go on. */
export async function carryOutSchedules(
  context: StoreContext,
  names: readonly string[],
  now: Date,
): Promise<readonly Outcome<DueReport>[]> {
  const outcomes = await forMany(context, names, (name) => carryOut(context, containerOf(context.paths, name), now))
  return outcomes.filter(({ result, error }) => error !== undefined || result?.taken !== undefined || (result?.removed.length ?? 0) > 0)
}

async function carryOut(context: StoreContext, container: Container, now: Date): Promise<DueReport> {
  const { loadConfig } = await import('../../config/load.ts')
  const { config } = loadConfig(container.configFile, { confDirs: context.paths.confDirs, trustedUid: process.geteuid?.() ?? 0 })
  const schedule = config.snapshots
  const taken =
    schedule?.schedule === undefined ? undefined : await takeWhenDue(context, container, { ...schedule, line: schedule.schedule }, now)
  const removed = await removeOutdated(context, container, schedule, now)
  return { name: container.name, ...(taken === undefined ? {} : { taken }), removed }
}

async function takeWhenDue(
  context: StoreContext,
  container: Container,
  { line, expires }: Schedule & { readonly line: string },
  now: Date,
): Promise<string | undefined> {
  const file = join(snapshotsDir(container), '.schedule.json')
  const before = await readJson<LastRun>(file, 1)
  const { due, since } = isDue(line, before === undefined ? undefined : new Date(before.lastRun), now)
  const record = async (lastRun: Date): Promise<void> => {
    await ensureDir(snapshotsDir(container))
    await writeJson(file, { version: 1, lastRun: lastRun.toISOString() } satisfies LastRun)
  }
  if (!due) {
    if (since.toISOString() !== before?.lastRun) await record(since)
    return undefined
  }
  const { snapshot } = await takeSnapshot(context, container.name, {
    snapshot: scheduledName(now),
    scheduled: true,
    ...(expires === undefined ? {} : { expires: new Date(now.getTime() + expires) }),
  })
  await record(now)
  return snapshot
}

/** `auto-20260820-030000`, local time. */
function scheduledName(now: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0')
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`
  return `auto-${date}-${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join('')}`
}

/** Expired ones, and those of the schedule that are too many; one made by hand goes only when it expires. */
async function removeOutdated(context: StoreContext, container: Container, schedule: Schedule | undefined, now: Date): Promise<string[]> {
  const all = await listSnapshots(container)
  const expired = all.filter(({ expires }) => expires !== undefined && new Date(expires) <= now)
  const scheduled = all.filter((snapshot) => snapshot.scheduled === true && !expired.includes(snapshot))
  const outdated = [...expired, ...expendable(scheduled, schedule?.keep ?? {})]
  for (const { name } of outdated) await removeSnapshots(context, container.name, name)
  return outdated.map(({ name }) => name)
}

/** When a snapshot of now expires. @throws UsageError */
export function expiryOf(text: string, now: Date): Date {
  try {
    return new Date(now.getTime() + duration(text))
  } catch (error) {
    if (!(error instanceof BadValue)) throw error
    throw new UsageError(`cannot use --expires '${text}': ${error.message}`, error.hint === undefined ? {} : { hint: error.hint })
  }
}
