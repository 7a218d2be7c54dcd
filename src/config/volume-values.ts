/** Parsers of data volumes. Throw BadValue. */
import { BadValue, type Scalar } from '../lib/fields.ts'
import { nameProblem } from '../lib/names.ts'
import { absolutePath, text, yesNo } from '../lib/values.ts'
import type { DriverName } from '../storage/driver.ts'
import { size } from './scalars.ts'

/** One data volume in a container. */
export interface VolumeMount {
  readonly volume: string
  /** Absolute inside the container, without a slash at its end. */
  readonly target: string
  readonly readOnly: boolean
  /** The rest is for its making. Bytes. */
  readonly size?: number
  /** It stays when the container is destroyed. */
  readonly keep?: boolean
  readonly driver?: DriverName
}

const KEYS: readonly string[] = ['volume', 'target', 'size', 'keep', 'driver', 'readonly']
const DRIVERS: readonly DriverName[] = ['dir', 'btrfs', 'zfs', 'lvm', 'loop']
const EXAMPLE = 'for example "web-data:/srv/data", or {volume: web-data, target: /srv/data, size: 5G}'
const LEAST_BYTES = 1_048_576

/** `VOLUME:TARGET[:OPTION,…]`; options ro, rw, keep, size=SIZE, driver=DRIVER. */
export function volumeText(value: Scalar): VolumeMount {
  const [volume = '', target = '', options = '', ...rest] = text(value).split(':')
  if (rest.length > 0 || target === '') throw new BadValue(`'${value}' is no data volume`, EXAMPLE)
  const item: Record<string, Scalar> = { volume, target }
  for (const word of options === '' ? [] : options.split(',')) {
    const [, key = '', setting] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (['ro', 'rw', 'keep'].includes(key) && setting === undefined) item[key === 'keep' ? 'keep' : 'readonly'] = key !== 'rw'
    else if (['size', 'driver'].includes(key) && setting !== undefined) item[key] = setting
    else throw new BadValue(`'${word}' is no option of a data volume`, 'the options are ro, rw, keep, size=SIZE and driver=DRIVER')
  }
  return volumeMap(item)
}

export function volumeMap(item: Readonly<Record<string, unknown>>): VolumeMount {
  for (const key of Object.keys(item)) {
    if (!KEYS.includes(key)) throw new BadValue(`'${key}' is no key of a data volume`, `the keys are ${KEYS.join(', ')}`)
  }
  const scalar = (key: string): Scalar | undefined => {
    const value = item[key]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
    throw new BadValue(`${key}: a list or map can not stand here`)
  }
  const [volume, target, bytes, keep, driver] = [scalar('volume'), scalar('target'), scalar('size'), scalar('keep'), scalar('driver')]
  if (volume === undefined || target === undefined) throw new BadValue('a data volume needs volume and target', EXAMPLE)
  return {
    volume: volumeName(volume),
    target: guestPath(target),
    readOnly: switched(scalar('readonly') ?? false),
    ...(bytes === undefined ? {} : { size: volumeSize(bytes) }),
    ...(keep === undefined ? {} : { keep: switched(keep) }),
    ...(driver === undefined ? {} : { driver: volumeDriver(driver) }),
  }
}

function volumeName(value: Scalar): string {
  const name = String(value)
  const problem = nameProblem(name)
  if (problem !== undefined) throw new BadValue(`'${name}' can not be the name of a data volume: ${problem}`)
  return name
}

function guestPath(value: Scalar): string {
  const path = absolutePath(value).replace(/\/+/g, '/').replace(/\/$/, '')
  if (path === '' || path.split('/').some((part) => part === '..' || part === '.'))
    throw new BadValue(`'${value}' can not be the place of a data volume`)
  return path
}

export function volumeSize(value: Scalar): number {
  const bytes = size(value)
  if (bytes < LEAST_BYTES) throw new BadValue(`${bytes} bytes are too little for a data volume`, 'for example 5G')
  return bytes
}

/** Layers are shared by root file systems; data has none to share. */
function volumeDriver(value: Scalar): DriverName {
  const found = DRIVERS.find((name) => name === value)
  if (found === undefined) throw new BadValue(`'${value}' is no storage for a data volume`, `one of ${DRIVERS.join(', ')}`)
  return found
}

/** YAML 1.2 reads yes and no as text. */
const switched = (value: Scalar): boolean => yesNo(value === 'yes' ? true : value === 'no' ? false : value)
