/** The only place where errors become text. The native program has a twin; test/fixtures/errors.json binds the two. */
import { ConfigError, TslxcError } from '../lib/errors.ts'
import type { LogLevel } from '../lib/log.ts'
import { LOG_LEVELS } from '../lib/log.ts'

/** What stands under `error` with --json. */
export interface ErrorRecord {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly step?: string
  readonly errno?: number
}

/** `tslxc VERB: message`, the hint below it, and from DEBUG on the causes. Ends in a newline. */
export function renderError(error: unknown, verb: string, level: LogLevel): string {
  const known = error instanceof TslxcError
  const lines = [`${verb === '' ? 'tslxc' : `tslxc ${verb}`}: ${messageOf(error)}`]
  if (known) {
    if (error instanceof ConfigError && error.place.excerpt !== undefined) lines.push(...indent(error.place.excerpt))
    if (error.hint !== undefined) lines.push(`  hint: ${error.hint}`)
    for (const undo of error.undoErrors) lines.push(`  while undoing: ${messageOf(undo)}`)
  } else if (level === 'ERROR') lines.push("  hint: this is a defect of tslxc; the same command with '-l DEBUG' shows where")
  if (LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf('DEBUG')) lines.push(...causes(error))
  return `${printable(lines.join('\n'))}\n`
}

/** Without what a terminal may take for an order, but newline and tab: part of a message may be a guest's. ECMA-48 */
const printable = (text: string): string => text.replace(/(?![\n\t])\p{Cc}/gu, '')

const indent = (text: string): string[] => text.split('\n').map((line) => `    ${line}`)

export function errorRecord(error: unknown): ErrorRecord {
  if (!(error instanceof TslxcError)) return { code: 'internal', message: messageOf(error) }
  const { step, errno } = error as { step?: string | undefined; errno?: number | undefined }
  return {
    code: error.code,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(step === undefined ? {} : { step }),
    ...(errno === undefined ? {} : { errno }),
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof TslxcError ? error.exitCode : 1
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function causes(error: unknown): string[] {
  const lines: string[] = []
  if (error instanceof Error && !(error instanceof TslxcError)) lines.push(...(error.stack ?? '').split('\n').slice(1))
  for (let cause = error instanceof Error ? error.cause : undefined; cause !== undefined; ) {
    lines.push(`  cause: ${messageOf(cause)}`)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return lines
}
