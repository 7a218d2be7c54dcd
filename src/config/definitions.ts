/** `KEY=VALUE` of `start -s` as a piece of YAML. */
import { UsageError } from '../lib/errors.ts'

/** Keys in our spelling or LXC's; a value is YAML.
 *  @throws UsageError */
export function readDefinition(text: string): string {
  const at = text.indexOf('=')
  const key = text
    .slice(0, Math.max(at, 0))
    .trim()
    .replace(/^lxc\./, '')
  if (key === '' || key.split('.').includes('')) throw new UsageError(`cannot set '${text}': KEY=VALUE is expected`)
  const value = text.slice(at + 1).trim()
  // Numbers and switches are understood in quotes too.
  const yaml = /^[[{"']/.test(value) ? value : JSON.stringify(value)
  return `${nest(splitKey(key), yaml)}\n`
}

/** Below these the rest of the name is one key. */
const FLAT: readonly string[] = ['cgroup', 'cgroup2', 'prlimit']

/** `cgroup2.memory.max` is the key `memory.max` below `cgroup2`, `net.0.link` a key of an item. */
export function splitKey(key: string): readonly string[] {
  const parts = key.split('.')
  const [first = '', second = ''] = parts
  if (FLAT.includes(first) && parts.length > 1 && !(first === 'cgroup' && second === 'dir')) return [first, parts.slice(1).join('.')]
  return parts
}

function nest(parts: readonly string[], value: string): string {
  const [part, ...rest] = parts
  if (part === undefined) return value
  const inner = nest(rest, value)
  if (!/^\d+$/.test(part)) return `{${JSON.stringify(part)}: ${inner}}`
  // Items before it stay as they are.
  return `[${'{}, '.repeat(Number(part))}${inner}]`
}
