/** Parsers of times as they stand below `snapshots`. Throw BadValue. */
import { Cron } from 'croner'
import parseDuration from 'parse-duration'
import { BadValue, type Scalar } from '../lib/fields.ts'
import { text } from '../lib/values.ts'

/** crontab(5): five fields, or @hourly and its like. */
export function schedule(value: Scalar): string {
  const line = text(value).trim()
  try {
    if (cron(line).nextRun() !== null) return line
  } catch {
    // Its message is about its own terms.
  }
  throw new BadValue(`'${value}' is no schedule`, 'minute hour day month weekday, for example 0 3 * * *')
}

export const cron = (line: string): Cron => new Cron(line, { mode: '5-part', paused: true })

/** Milliseconds of `12h`, `7d`, `2 weeks`, `3months`. */
export function duration(value: Scalar): number {
  const given = String(value).trim()
  const milliseconds = /^[\d.]+\s*[a-z]/i.test(given) ? parseDuration(given) : null
  if (milliseconds === null || milliseconds === undefined || !(milliseconds > 0)) {
    throw new BadValue(`'${value}' is no length of time`, 'for example 12h, 7d or 3months')
  }
  return Math.round(milliseconds)
}
