/** Log lines `time level container step message key=value`, LXC's levels; native/base/log.hpp writes the same. */

/** LXC's, least to most severe; the index is LXC's number. */
export const LOG_LEVELS = ['TRACE', 'DEBUG', 'INFO', 'NOTICE', 'WARN', 'ERROR', 'CRIT', 'ALERT', 'FATAL'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogRecord {
  readonly time: Date
  readonly level: LogLevel
  /** Absent: the line is about no container. */
  readonly container?: string | undefined
  readonly step: string
  readonly message: string
  readonly values?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** A level by name in any case, or by LXC's number; undefined when it is neither. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const byName = LOG_LEVELS.find((level) => level === text.toUpperCase())
  return byName ?? (/^\d$/.test(text) ? LOG_LEVELS[Number(text)] : undefined)
}

/** One line without its newline. Newlines within are shown as `\n`, so that a guest's text can't forge a line. */
export function formatLogLine(record: LogRecord): string {
  const values = Object.entries(record.values ?? {}).map(([key, value]) => ` ${key}=${quoteWhereNeeded(String(value))}`)
  const text = `${record.time.toISOString()} ${record.level} ${record.container ?? '-'} ${record.step} ${record.message}${values.join('')}`
  return text.replaceAll('\n', '\\n').replaceAll('\r', '\\r')
}

function quoteWhereNeeded(value: string): string {
  return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value)
}

/** Where lines go is the caller's business: this floor does no I/O. */
export interface Logger {
  log(level: LogLevel, step: string, message: string, values?: LogRecord['values']): void
  /** The same logger, with lines that name this container. */
  forContainer(name: string): Logger
}

/** `sink` gets each line of at least `level`, without newline. */
export function makeLogger(level: LogLevel, sink: (line: string) => void, container?: string): Logger {
  const threshold = LOG_LEVELS.indexOf(level)
  return {
    log(of, step, message, values) {
      if (LOG_LEVELS.indexOf(of) < threshold) return
      sink(formatLogLine({ time: new Date(), level: of, container, step, message, values }))
    },
    forContainer: (name) => makeLogger(level, sink, name),
  }
}
