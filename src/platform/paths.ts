/** Where things are. Nothing else in the tree spells a host path of the product's own. */
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Paths {
  /** `$TSLXC_ROOT` or empty: a prefix for every path below, for tests and trials. */
  readonly root: string
  readonly lxcpath: string
  /** Searched in this order: /etc/tslxc, then the installation's conf/. */
  readonly confDirs: readonly string[]
  readonly cacheDir: string
  readonly runBase: string
  /** Host-wide records (ids.json, leases.json), for every lxcpath. */
  readonly allocDir: string
  /** Holds bin/, dist/, templates/, conf/. */
  readonly installRoot: string
}

export interface PathChoices {
  readonly root: string
  readonly installRoot: string
  /** From -P or tslxc.yaml; absent: /var/lib/tslxc below the root. */
  readonly lxcpath?: string
  readonly cacheDir?: string
}

export function makePaths(choices: PathChoices): Paths {
  const { root, installRoot } = choices
  return {
    root,
    lxcpath: (choices.lxcpath ?? `${root}/var/lib/tslxc`).replace(/(.)\/+$/, '$1'),
    confDirs: [`${root}/etc/tslxc`, join(installRoot, 'conf')],
    cacheDir: choices.cacheDir ?? `${root}/var/cache/tslxc`,
    runBase: `${root}/run/tslxc`,
    allocDir: `${root}/var/lib/tslxc/.alloc`,
    installRoot,
  }
}

export const containerDir = (paths: Paths, name: string): string => join(paths.lxcpath, name)
/** Of a data volume. */
export const volumeDir = (paths: Paths, volume: string): string => join(paths.lxcpath, '.volumes', volume)
export const configFile = (paths: Paths, name: string): string => join(paths.lxcpath, name, 'config.yaml')

/** `<st_dev>-<st_ino>` of the lxcpath, so that no bind mount or symlink yields two monitors for one rootfs. */
export function runLxcpath(paths: Paths): string {
  const { dev, ino } = statSync(paths.lxcpath, { bigint: true })
  return join(paths.runBase, `${dev}-${ino}`)
}

export const runDir = (paths: Paths, name: string): string => join(runLxcpath(paths), name)
export const lockFile = (paths: Paths, name: string): string => join(runLxcpath(paths), 'locks', name)
export const networksDir = (paths: Paths): string => join(paths.confDirs[0] ?? dirname(paths.installRoot), 'networks')
