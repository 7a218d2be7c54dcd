/** System settings, tslxc.yaml, compiled to settings.json: native learns there where containers are. */
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkFile } from '../config/check.ts'
import { parseYaml } from '../config/document.ts'
import { mergeFile, Origins } from '../config/merge.ts'
import { PermissionCheck } from '../config/permissions.ts'
import { SETTINGS_KEYS, type Settings, settingsSchema } from '../config/settings-schema.ts'
import type { Paths } from '../platform/paths.ts'
import type { Stamp } from '../runtime/spec.ts'
import type { Pool } from '../storage/driver.ts'
import { isStale, readBuildId, stampsOf } from './stamps.ts'
import { replace } from './write.ts'

/** Content of `<root>/run/tslxc/settings.json`. */
export interface CompiledSettings {
  readonly version: 1
  readonly build: string
  readonly stamps: readonly Stamp[]
  readonly lxcpath: string
  readonly logLevel: string
  /** Native has no use for it. */
  readonly storage: StorageSettings
  /** What LXC's `config KEY` prints; a key without a value is absent. */
  readonly values: Readonly<Record<string, string>>
}

export interface StorageSettings {
  /** As `-B` takes it. */
  readonly bdev: string
  /** What was set; a driver has defaults of its own. */
  readonly pool: Pool
}

/** LXC's, which its `config` prints where nothing is set. */
const LXC_DEFAULTS = { vg: 'lxc', thinPool: 'lxc', zfsRoot: 'lxc' }

export const settingsFile = (paths: Paths): string => join(paths.runBase, 'settings.json')

/** From the cache when it is fresh. */
export function readSettings(paths: Paths): CompiledSettings {
  const file = settingsFile(paths)
  if (!isStale(file, readBuildId(paths.installRoot))) return JSON.parse(readFileSync(file, 'utf8')) as CompiledSettings
  return compileSettings(paths)
}

/** @throws ConfigError · HostError `permission` */
export function compileSettings(paths: Paths): CompiledSettings {
  const { settings, inputs } = loadSettings(paths)
  const lxcpath = (settings.lxcpath ?? `${paths.root}/var/lib/tslxc`).replace(/(.)\/+$/, '$1')
  const pool = poolOf(settings)
  return {
    version: 1,
    build: readBuildId(paths.installRoot),
    stamps: stampsOf(inputs),
    lxcpath,
    logLevel: settings.log?.level ?? 'ERROR',
    storage: { bdev: settings.storage?.default ?? 'dir', pool },
    values: {
      'lxc.default_config': settings.default_config ?? defaultConfigFile(paths),
      'lxc.lxcpath': lxcpath,
      'lxc.bdev.lvm.vg': pool.vg ?? LXC_DEFAULTS.vg,
      'lxc.bdev.lvm.thin_pool': pool.thinPool ?? LXC_DEFAULTS.thinPool,
      'lxc.bdev.zfs.root': pool.zfsRoot ?? LXC_DEFAULTS.zfsRoot,
    },
  }
}

/** Ours win over LXC's names of the same. */
function poolOf({ storage, bdev }: Settings): Pool {
  const zfsRoot = storage?.zfs?.root ?? bdev?.zfs?.root
  const vg = storage?.lvm?.vg ?? bdev?.lvm?.vg
  const thinPool = storage?.lvm?.thin_pool ?? bdev?.lvm?.thin_pool
  return {
    ...(zfsRoot === undefined ? {} : { zfsRoot }),
    ...(vg === undefined ? {} : { vg }),
    ...(thinPool === undefined ? {} : { thinPool }),
    ...(storage?.fstype === undefined ? {} : { fstype: storage.fstype }),
    ...(storage?.size === undefined ? {} : { sizeBytes: storage.size }),
  }
}

export function writeSettings(paths: Paths): CompiledSettings {
  const settings = compileSettings(paths)
  mkdirSync(dirname(settingsFile(paths)), { recursive: true, mode: 0o711 })
  replace(settingsFile(paths), JSON.stringify(settings))
  return settings
}

/** The first of /etc/tslxc and the installed conf that has the file. */
function defaultConfigFile({ confDirs }: Paths): string {
  const candidates = confDirs.map((dir) => join(dir, 'default.yaml'))
  return candidates.find((file) => stampsOf([file])[0]?.length !== 1) ?? candidates[0] ?? ''
}

function loadSettings(paths: Paths): { settings: Settings; inputs: readonly string[] } {
  const candidates = paths.confDirs.map((dir) => join(dir, 'tslxc.yaml'))
  const inputs = [...candidates, ...paths.confDirs.map((dir) => join(dir, 'default.yaml'))]
  const file = candidates.find((path) => stampsOf([path])[0]?.length !== 1)
  const tree: Record<string, unknown> = {}
  if (file !== undefined) {
    new PermissionCheck(process.geteuid?.() ?? 0).check(file)
    const source = parseYaml(file, readFileSync(file, 'utf8'))
    mergeFile(tree, checkFile(source, settingsSchema, SETTINGS_KEYS) as Record<string, unknown>, source, new Origins())
  }
  return { settings: tree as Settings, inputs }
}
