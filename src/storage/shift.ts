/** Owners that are shifted on the disk, for stores whose mounts can't translate ids. */
import type { Volume } from './driver.ts'

/** The record of a volume whose owners are shifted; 0: not at all. */
export function withShift<V extends Volume>(volume: V, shift: number): V {
  const { shift: _, ...rest } = volume
  return (shift === 0 ? rest : { ...rest, shift }) as V
}
