/** What only all files together can show: keys that exclude each other, or belong to another type. */
import type { NetworkOptions } from '../network/options.ts'
import { errorIn, type LoadedConfig } from './loaded.ts'
import type { IdmapEntry } from './scalars.ts'
import type { VolumeMount } from './volume-values.ts'

/** @throws ConfigError */
export function checkWhole(loaded: LoadedConfig): void {
  const fail: Fail = (path, reason, hint) => {
    throw errorIn(loaded, path, reason, hint === undefined ? {} : { hint })
  }
  const { config } = loaded
  config.net?.forEach((item, index) => {
    checkInterface(item, index, config.net?.length ?? 0, fail)
  })
  if ((config.cap?.drop?.length ?? 0) > 0 && (config.cap?.keep?.length ?? 0) > 0)
    fail(['cap', 'keep'], 'cap.keep and cap.drop exclude each other', 'remove one of them')
  checkVolumes(config.volumes ?? [], fail)
  checkIdmap(config.idmap ?? [], fail)
  const dir = config.cgroup?.dir
  if (dir?.value !== undefined && (dir.container !== undefined || dir.monitor !== undefined))
    fail(['cgroup', 'dir'], 'cgroup.dir excludes cgroup.dir.container and cgroup.dir.monitor')
}

type Fail = (path: readonly (string | number)[], reason: string, hint?: string) => never

function checkInterface(item: NetworkOptions, index: number, count: number, fail: Fail): void {
  const { type, ...keys } = item
  if (type === undefined) fail(['net', index], `net.${index} has no type`, 'type: veth')
  if (type === 'none' && count > 1)
    fail(['net', index, 'type'], "the network type 'none' stands alone: the host's network has its own interfaces")
  if (type === 'veth') return
  for (const key of Object.keys(keys)) fail(['net', index, key], `'${key}' has no meaning for network type '${type}'`)
}

function checkIdmap(entries: readonly IdmapEntry[], fail: Fail): void {
  if (entries.length === 0) return
  for (const type of ['u', 'g'] as const) {
    const ranges = entries.map((entry, index) => ({ ...entry, index })).filter((entry) => entry.types.includes(type))
    if (!ranges.some(({ inside }) => inside === 0))
      fail(['idmap'], `idmap: ${type === 'u' ? 'user' : 'group'} 0 inside has no id outside`, 'for example "b 0 1000000 65536"')
    for (const a of ranges)
      for (const b of ranges)
        if (a.index < b.index && (overlap(a.inside, b.inside, a, b) || overlap(a.outside, b.outside, a, b)))
          fail(['idmap', b.index], 'idmap: this range overlaps another')
  }
}

function checkVolumes(volumes: readonly VolumeMount[], fail: Fail): void {
  volumes.forEach(({ volume, target }, index) => {
    const before = volumes.slice(0, index)
    if (before.some((other) => other.target === target)) fail(['volumes', index], `two data volumes are to be at '${target}'`)
    if (before.some((other) => other.volume === volume)) fail(['volumes', index], `the data volume '${volume}' stands here twice`)
  })
}

const overlap = (a: number, b: number, x: IdmapEntry, y: IdmapEntry): boolean => a < b + y.count && b < a + x.count
