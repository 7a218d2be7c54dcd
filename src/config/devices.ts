/** Device rules as the devices controller of cgroup v1 spells them. */
import { BadValue, type Scalar } from '../lib/fields.ts'
import { text } from '../lib/values.ts'

export interface DeviceNumbers {
  readonly type: 'a' | 'b' | 'c'
  readonly major?: number
  readonly minor?: number
  readonly access: string
}

/** `c 1:3 rwm`, `b *:* m`, or `a` for all. kernel: Documentation/admin-guide/cgroup-v1/devices.rst */
export function deviceRule(value: Scalar): DeviceNumbers {
  const rule = text(value).trim()
  if (/^a(\s+\*:\*\s+rwm)?$/.test(rule)) return { type: 'a', access: 'rwm' }
  const match = /^([bc])\s+(\d+|\*):(\d+|\*)\s+([rwm]{1,3})$/.exec(rule)
  if (match === null) throw new BadValue(`'${rule}' is no device rule`, 'for example "c 10:200 rwm", or a for all')
  const [, type, major, minor, access = ''] = match
  return {
    type: type === 'b' ? 'b' : 'c',
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
    access,
  }
}
