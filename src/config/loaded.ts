import { ConfigError, type ErrorOptions } from '../lib/errors.ts'
import type { Path } from './document.ts'
import type { Origins } from './merge.ts'
import type { Config } from './schema.ts'

export interface LoadedConfig {
  readonly file: string
  readonly config: Config
  readonly origins: Origins
  /** Files and directories read, and those looked for in vain, in the order of looking. */
  readonly inputs: readonly string[]
}

/** A reason with the place where a key was said. */
export function errorIn(loaded: LoadedConfig, path: Path, reason: string, options: ErrorOptions = {}): ConfigError {
  return new ConfigError(reason, loaded.origins.find(path) ?? { file: loaded.file }, options)
}
