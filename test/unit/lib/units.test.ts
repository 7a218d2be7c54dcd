import { expect, it } from 'vitest'
import { parseDecimal, parsePercent, parseSize, printSize, printSizeRounded } from '../../../src/lib/units.ts'

it.each([
  ['0', 0],
  ['4096', 4096],
  ['2G', 2 * 1024 ** 3],
  ['512M', 512 * 1024 ** 2],
  ['1.5 GiB', 1.5 * 1024 ** 3],
  ['64kB', 65536],
  [' 1T ', 1024 ** 4],
  ['', undefined],
  ['-1', undefined],
  ['2X', undefined],
  ['G', undefined],
  ['50%', undefined],
  ['99999E', undefined],
])('parseSize(%j) is %j', (text, size) => {
  expect(parseSize(text)).toBe(size)
})

it('prints the shortest exact size, and reads it back', () => {
  for (const size of [0, 1, 1023, 1024, 1536, 2 * 1024 ** 3, 3 * 1024 ** 2 + 1024]) expect(parseSize(printSize(size))).toBe(size)
  expect(printSize(2 * 1024 ** 3)).toBe('2G')
  expect(printSizeRounded(1572864)).toBe('1.50 MiB')
  expect(printSizeRounded(12)).toBe('12 bytes')
})

it('parses shares', () => {
  expect(parsePercent('50%')).toBe(50)
  expect(parsePercent('12.5 %')).toBe(12.5)
  expect(parsePercent('50')).toBeUndefined()
  expect(parseDecimal('1.5')).toBe(1.5)
  expect(parseDecimal('1.5x')).toBeUndefined()
})
