/** What a command hands to the functions below it. */
import { appendFileSync } from 'node:fs'
import { TslxcError, UsageError } from '../lib/errors.ts'
import type { Logger, LogLevel } from '../lib/log.ts'
import { makeLogger, parseLogLevel } from '../lib/log.ts'
import type { OnStep } from '../lib/progress.ts'
import type { Paths } from '../platform/paths.ts'
import { makePaths } from '../platform/paths.ts'
import type { Environment } from './environment.ts'
import type { Progress } from './progress.ts'
import { makeProgress } from './progress.ts'
import { readSettings } from './settings.ts'

export interface Context {
  readonly paths: Paths
  readonly environment: Environment
  /** Aborted by SIGINT, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal
  readonly onStep: OnStep
  readonly logger: Logger
  readonly logLevel: LogLevel
  readonly lockTimeoutMs: number
  /** Names us to others who wait for a lock of ours, e.g. `tslxc destroy`. */
  readonly command: string
  /** A sentence for the person at the terminal, on standard error; nothing with -q. */
  readonly note: (text: string) => void
}

export interface CommonFlags {
  readonly lxcpath?: string | undefined
  readonly logfile?: string | undefined
  readonly logpriority?: string | undefined
  readonly quiet: boolean
  readonly json: boolean
  readonly 'lock-timeout': number
}

/** @throws UsageError for an unknown log level */
export async function makeContext(
  flags: CommonFlags,
  environment: Environment,
  command: { readonly title: string; readonly usesSettings: boolean },
): Promise<{ readonly context: Context; readonly progress: Progress }> {
  const progress = makeProgress(process.stderr, flags.quiet || flags.json)
  const plain = pathsOf(environment, flags.lxcpath)
  const settings = command.usesSettings ? await readSettings(plain) : undefined
  const paths = flags.lxcpath === undefined && settings !== undefined ? pathsOf(environment, settings.lxcpath) : plain
  const logLevel = readLogLevel(flags.logpriority ?? settings?.logLevel)
  const context: Context = {
    paths,
    environment,
    signal: abortOnSignals(),
    onStep: progress.onStep,
    logger: makeLogger(logLevel, lineSink(flags, progress)),
    logLevel,
    lockTimeoutMs: flags['lock-timeout'] * 1000,
    command: command.title,
    note(text) {
      progress.clear()
      if (!flags.quiet) process.stderr.write(`${text}\n`)
    },
  }
  return { context, progress }
}

function pathsOf(environment: Environment, lxcpath: string | undefined): Paths {
  return makePaths({
    root: environment.root,
    installRoot: environment.installRoot,
    ...(lxcpath === undefined ? {} : { lxcpath }),
    ...(environment.cacheDir === undefined ? {} : { cacheDir: environment.cacheDir }),
  })
}

function readLogLevel(text: string | undefined): LogLevel {
  const level = parseLogLevel(text ?? 'ERROR')
  if (level === undefined)
    throw new UsageError(`unknown log level '${text}'`, { hint: 'take one of FATAL ALERT CRIT ERROR WARN NOTICE INFO DEBUG TRACE' })
  return level
}

function lineSink(flags: CommonFlags, progress: Progress): (line: string) => void {
  return (line) => {
    if (flags.logfile !== undefined) appendFileSync(flags.logfile, `${line}\n`, { mode: 0o640 })
    else if (!flags.quiet) {
      progress.clear()
      process.stderr.write(`${line}\n`)
    }
  }
}

/** The first signal aborts, so that what was made is undone; the default action is gone from then on. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController()
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.on(name, () => {
      controller.abort(new TslxcError('aborted', `interrupted by ${name}`, { exitCode: 128 + number }))
    })
  }
  return controller.signal
}
