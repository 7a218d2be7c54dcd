/** Sizes of data volumes as they are typed. */
import { volumeSize } from '../../config/volume-values.ts'
import { UsageError } from '../../lib/errors.ts'
import { BadValue } from '../../lib/fields.ts'

/** Bytes of `5G`. @throws UsageError */
export function parseVolumeSize(text: string): number {
  try {
    return volumeSize(text)
  } catch (error) {
    if (!(error instanceof BadValue)) throw error
    throw new UsageError(`cannot use the size '${text}': ${error.message}`, { hint: 'for example 5G' })
  }
}
