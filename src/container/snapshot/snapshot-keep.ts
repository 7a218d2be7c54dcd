/** Which snapshots of a schedule are kept, and when one is due. Pure. */
import { cron } from '../../config/schedule-values.ts'

export type Period = 'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly'
/** How many of each; absent or 0: none for that reason. */
export type Keep = { readonly [P in Period]?: number | undefined }

/**
 * Those of `times` to let go. Of each hour, day, ISO week, month and year (local time) the newest is the one that may stay,
 * for as many of the latest hours, days … that have one at all as `keep` says. The newest of all stays anyway; without any
 * number in `keep` all stay.
 */
export function expendable<T extends { readonly created: string }>(snapshots: readonly T[], keep: Keep): readonly T[] {
  const periods = Object.entries(BUCKETS) as [Period, (time: Date) => string][]
  if (periods.every(([period]) => (keep[period] ?? 0) === 0)) return []
  const newestFirst = [...snapshots].sort((a, b) => Date.parse(b.created) - Date.parse(a.created))
  const kept = new Set<T>(newestFirst.slice(0, 1))
  for (const [period, bucketOf] of periods) {
    const seen = new Set<string>()
    for (const snapshot of newestFirst) {
      const bucket = bucketOf(new Date(snapshot.created))
      if (seen.has(bucket)) continue
      if (seen.size >= (keep[period] ?? 0)) break
      seen.add(bucket)
      kept.add(snapshot)
    }
  }
  return snapshots.filter((snapshot) => !kept.has(snapshot))
}

const BUCKETS: Readonly<Record<Period, (time: Date) => string>> = {
  // The hour that comes twice when summer time ends is two.
  hourly: (time) => `${dayOf(time)} ${time.getHours()} ${time.getTimezoneOffset()}`,
  daily: dayOf,
  weekly: (time) => {
    // ISO 8601: the week belongs to the year of its Thursday.
    const thursday = new Date(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7))
    return dayOf(thursday)
  },
  monthly: (time) => `${time.getFullYear()}-${time.getMonth()}`,
  yearly: (time) => String(time.getFullYear()),
}

function dayOf(time: Date): string {
  return `${time.getFullYear()}-${time.getMonth()}-${time.getDate()}`
}

export interface Due {
  readonly due: boolean
  /** From when the next one counts: what is to be written down when nothing is taken. */
  readonly since: Date
}

/**
 * Whether a time of the schedule has passed since the last run; several missed ones are one. A schedule that was never
 * looked at begins now, and so does one whose last run lies in the future, for then the clock was set back.
 */
export function isDue(line: string, lastRun: Date | undefined, now: Date): Due {
  if (lastRun === undefined || lastRun > now) return { due: false, since: now }
  const next = cron(line).nextRun(lastRun)
  return { due: next !== null && next <= now, since: lastRun }
}
