/** The only place that reads the environment: everything below takes values. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Environment {
  /** TSLXC_ROOT: a prefix for every host path of ours; empty in ordinary use. */
  readonly root: string
  /** TSLXC_CACHE */
  readonly cacheDir: string | undefined
  /** TSLXC_MIRROR: the package mirror of templates. */
  readonly mirror: string | undefined
  /** VISUAL, EDITOR, or vi: a command line. */
  readonly editor: string
  /** Holds bin/, dist/, templates/, conf/. */
  readonly installRoot: string
}

export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  return {
    root: (env.TSLXC_ROOT ?? '').replace(/\/+$/, ''),
    cacheDir: env.TSLXC_CACHE || undefined,
    mirror: env.TSLXC_MIRROR || undefined,
    editor: env.VISUAL || env.EDITOR || 'vi',
    installRoot: findInstallRoot(),
  }
}

/** This file is src/cli/environment.ts in a checkout and part of dist/cli.cjs in a build. */
function findInstallRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dir, 'package.json')) && dir !== '/') dir = dirname(dir)
  return dir
}
