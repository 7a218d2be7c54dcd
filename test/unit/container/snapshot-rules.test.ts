import { describe, expect, it, vi } from 'vitest'
import { cron, duration, schedule } from '../../../src/config/schedule-values.ts'
import { takeSnapshot } from '../../../src/container/snapshot/snapshot.ts'
import { expiryOf } from '../../../src/container/snapshot/snapshot-due.ts'
import { expendable, isDue } from '../../../src/container/snapshot/snapshot-keep.ts'
import { snapshotsText, stampText } from '../../../src/container/snapshot/snapshot-list.ts'
import { checkSnapshotName, nextSnapshotName } from '../../../src/container/snapshot/snapshot-store.ts'
import { makeContainer, makeTrial } from '../../helpers/containers.ts'

vi.stubEnv('TZ', 'Europe/Berlin')

const at = (text: string): Date => new Date(text)
/** One every hour from the first on. */
const hourly = (from: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ created: new Date(at(from).getTime() + i * 3_600_000).toISOString() }))
const kept = (all: readonly { created: string }[], keep: Parameters<typeof expendable>[1]): string[] => {
  const gone = expendable(all, keep)
  return all.filter((one) => !gone.includes(one)).map(({ created }) => created.slice(0, 13))
}

describe('the rule of what stays', () => {
  it('keeps all without any number', () => {
    expect(expendable(hourly('2026-08-01T00:30:00Z', 30), {})).toEqual([])
    expect(expendable(hourly('2026-08-01T00:30:00Z', 30), { daily: 0 })).toEqual([])
  })

  it('keeps the newest of each hour, day, week, month and year that has one', () => {
    const all = hourly('2026-08-01T00:30:00Z', 24 * 40)
    expect(kept(all, { hourly: 3 })).toEqual(['2026-09-09T21', '2026-09-09T22', '2026-09-09T23'])
    // local midnight is 22:00 in UTC
    expect(kept(all, { daily: 3 })).toEqual(['2026-09-08T21', '2026-09-09T21', '2026-09-09T23'])
    // from Monday to Sunday
    expect(kept(all, { weekly: 2 })).toEqual(['2026-09-06T21', '2026-09-09T23'])
    expect(kept(all, { monthly: 5 })).toEqual(['2026-08-31T21', '2026-09-09T23'])
    expect(kept(all, { yearly: 5 })).toEqual(['2026-09-09T23'])
    expect(kept(all, { hourly: 2, daily: 2, monthly: 2 })).toEqual(['2026-08-31T21', '2026-09-09T21', '2026-09-09T22', '2026-09-09T23'])
  })

  it('counts those that are there, not those that could be', () => {
    const rare = ['2026-01-05', '2026-03-01', '2026-07-10'].map((day) => ({ created: `${day}T12:00:00.000Z` }))
    expect(expendable(rare, { daily: 3 })).toEqual([])
    expect(expendable(rare, { daily: 2 })).toEqual([rare[0]])
  })

  it('knows weeks across a new year, and the hour that comes twice', () => {
    const turn = ['2026-12-28T12:00:00Z', '2027-01-03T12:00:00Z', '2027-01-04T12:00:00Z'].map((created) => ({ created }))
    expect(expendable(turn, { weekly: 9 })).toEqual([turn[0]])
    const twice = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'].map((created) => ({ created }))
    expect(expendable(twice, { hourly: 9 })).toEqual([])
  })

  it('does the same again without harm', () => {
    const all = hourly('2026-08-01T00:30:00Z', 100)
    const gone = expendable(all, { hourly: 4, daily: 2 })
    const rest = all.filter((one) => !gone.includes(one))
    expect(expendable(rest, { hourly: 4, daily: 2 })).toEqual([])
  })
})

describe('the rule of what is due', () => {
  const nightly = '0 3 * * *'

  it('begins when it is seen first', () => {
    const now = at('2026-08-20T10:00:00Z')
    expect(isDue(nightly, undefined, now)).toEqual({ due: false, since: now })
  })

  it('is due once when its time has passed, however often it was missed', () => {
    const last = at('2026-08-17T01:00:01Z')
    expect(isDue(nightly, last, at('2026-08-18T00:59:59Z')).due).toBe(false)
    expect(isDue(nightly, last, at('2026-08-18T01:00:00Z')).due).toBe(true)
    expect(isDue(nightly, last, at('2026-08-30T12:00:00Z')).due).toBe(true)
    expect(isDue(nightly, at('2026-08-30T12:00:00Z'), at('2026-08-30T12:05:00Z')).due).toBe(false)
  })

  it('begins anew when the clock was set back', () => {
    const now = at('2026-08-20T10:00:00Z')
    expect(isDue(nightly, at('2038-01-01T00:00:00Z'), now)).toEqual({ due: false, since: now })
    expect(isDue(nightly, now, at('2026-08-21T01:00:00Z')).due).toBe(true)
  })

  it('loses none and doubles none when summer time begins or ends', () => {
    // 02:30 does not exist on the 29th of March, and comes twice on the 25th of October
    const runs = (from: string, to: string): number => {
      let last = at(from)
      let count = 0
      for (let now = last.getTime(); now <= at(to).getTime(); now += 300_000) {
        if (!isDue('30 2 * * *', last, new Date(now)).due) continue
        count++
        last = new Date(now)
      }
      return count
    }
    expect(runs('2026-03-27T12:00:00Z', '2026-03-31T12:00:00Z')).toBe(4)
    expect(runs('2026-10-23T12:00:00Z', '2026-10-27T12:00:00Z')).toBe(4)
  })
})

describe('values of a schedule', () => {
  it('are crontab lines', () => {
    for (const line of ['0 3 * * *', '*/15 * * * 1-5', '@daily', '@hourly', '0 0 1 jan *']) expect(schedule(line)).toBe(line)
    for (const line of ['', '3', 'often', '61 * * * *', '0 0 3 * * *', '0 0 31 2 *'])
      expect(() => schedule(line), line).toThrow('is no schedule')
    expect(cron('0 3 * * *').nextRun(at('2026-08-20T10:00:00Z'))?.toISOString()).toBe('2026-08-21T01:00:00.000Z')
  })

  it('are lengths of time', () => {
    expect(duration('7d')).toBe(7 * 86_400_000)
    expect(duration('12h')).toBe(43_200_000)
    expect(duration('2 weeks')).toBe(14 * 86_400_000)
    for (const text of ['', '7', '-3d', '0d', 'soon', 'd', 7]) expect(() => duration(text), String(text)).toThrow('is no length of time')
    expect(expiryOf('1h', at('2026-08-20T10:00:00Z')).toISOString()).toBe('2026-08-20T11:00:00.000Z')
    expect(() => expiryOf('later', new Date())).toThrow("cannot use --expires 'later'")
  })
})

describe('names and lines', () => {
  it('counts on from the lowest free number', async () => {
    using trial = makeTrial()
    const container = await makeContainer(trial, 'web')
    expect(nextSnapshotName(container)).toBe('snap0')
    await takeSnapshot(trial, 'web')
    await takeSnapshot(trial, 'web', { snapshot: 'snap2' })
    expect(nextSnapshotName(container)).toBe('snap1')
  })

  it('refuses what is no name', () => {
    for (const name of ['ALL', '', '.x', '-x', 'a/b', 'a b', '..', 'x'.repeat(64)])
      expect(() => checkSnapshotName(name), name).toThrow('cannot use')
    for (const name of ['snap0', 'before-upgrade', 'all', '2026']) checkSnapshotName(name)
  })

  it("are LXC's to the byte", () => {
    const one = { name: 'web', snapshot: 'snap0', dir: '/var/lib/tslxc/web/snaps', created: '2026-08-20T07:56:40.123Z', note: 'two\nlines' }
    expect(snapshotsText([one], { notes: false })).toBe('snap0 (/var/lib/tslxc/web/snaps) 2026:08:20 09:56:40\n')
    expect(snapshotsText([one], { notes: true })).toBe('snap0 (/var/lib/tslxc/web/snaps) 2026:08:20 09:56:40\ntwo\nlines')
    expect(snapshotsText([], { notes: true })).toBe('No snapshots\n')
    expect(snapshotsText([{ ...one, usedBytes: 1_572_864 }], { notes: false })).toMatch(/09:56:40 1.50 MiB\n$/)
    expect(stampText(at('2026-01-02T03:04:05Z'))).toBe('2026:01:02 04:04:05')
  })
})
