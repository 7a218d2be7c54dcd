/** Sizes and shares as people write them: `2G`, `512M`, `50%`, `1.5`. Suffixes are powers of 1024, as in LXC. */

const SUFFIXES = ['', 'K', 'M', 'G', 'T', 'P', 'E'] as const
const KIB = 1024
const SIZE = /^(\d+(?:\.\d+)?)\s*([KMGTPE]?)(?:iB|B)?$/i

/** Bytes of `2G`, `1.5 GiB`, `64kB`, `4096`; undefined when the text is no size, or too large to be exact. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim())
  if (match === null) return undefined
  const power = SUFFIXES.indexOf((match[2] ?? '').toUpperCase() as (typeof SUFFIXES)[number])
  const sizeBytes = Math.round(Number(match[1]) * KIB ** power)
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined
}

/** The shortest exact spelling: 2147483648 is `2G`, 1536 is `1536`. */
export function printSize(sizeBytes: number): string {
  let value = sizeBytes
  let power = 0
  while (value !== 0 && value % KIB === 0 && power < SUFFIXES.length - 1) {
    value /= KIB
    power++
  }
  return `${value}${SUFFIXES[power]}`
}

/** For people: 1572864 is `1.50 MiB`. */
export function printSizeRounded(sizeBytes: number): string {
  let value = sizeBytes
  let power = 0
  while (value >= KIB && power < SUFFIXES.length - 1) {
    value /= KIB
    power++
  }
  return power === 0 ? `${value} bytes` : `${value.toFixed(2)} ${SUFFIXES[power]}iB`
}

/** The number before `%`: `50%` is 50; undefined for anything else. */
export function parsePercent(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim())
  return match === null ? undefined : Number(match[1])
}

/** A positive decimal number such as a count of processors, `1.5`; undefined for anything else. */
export function parseDecimal(text: string): number | undefined {
  const value = /^\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : undefined
}
