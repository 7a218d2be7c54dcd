/** The effective configuration in LXC's spelling, for `info -c KEY`. */
import type { LoadedConfig } from '../config/loaded.ts'

export function specKeys({ origins }: LoadedConfig, name: string): readonly (readonly [key: string, value: string])[] {
  const keys: [string, string][] = []
  for (const [path, text] of origins.written()) {
    if (path[0] === 'include') continue
    // The number of a list's item is no part of the key, that of an interface is.
    const parts = path.filter((part, index) => typeof part === 'string' || path[index - 1] === 'net')
    const last = parts.at(-1)
    keys.push([`lxc.${(last === 'value' ? parts.slice(0, -1) : parts).join('.')}`, text])
  }
  if (!keys.some(([key]) => key === 'lxc.uts.name')) keys.push(['lxc.uts.name', name])
  return keys
}
