import { expect, it } from 'vitest'
import { formatLogLine, makeLogger, parseLogLevel } from '../../../src/lib/log.ts'

it('formats a line, and keeps a text from forging another', () => {
  const time = new Date('2026-01-02T03:04:05.678Z')
  expect(
    formatLogLine({ time, level: 'WARN', container: 'web', step: 'mount', message: 'odd', values: { path: '/a/b', text: 'two words' } }),
  ).toBe('2026-01-02T03:04:05.678Z WARN web mount odd path=/a/b text="two words"')
  expect(formatLogLine({ time, level: 'INFO', step: 's', message: 'a\nb' })).toBe('2026-01-02T03:04:05.678Z INFO - s a\\nb')
})

it('knows levels by name and by number, and drops what is below', () => {
  expect(parseLogLevel('debug')).toBe('DEBUG')
  expect(parseLogLevel('8')).toBe('FATAL')
  expect(parseLogLevel('loud')).toBeUndefined()
  const lines: string[] = []
  const logger = makeLogger('WARN', (line) => lines.push(line)).forContainer('web')
  logger.log('INFO', 'x', 'no')
  logger.log('ERROR', 'x', 'yes')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('ERROR web x yes')
})
