/** Every error that leaves the product. One class a party who must act; `code` tells them apart for programs. */

export type ErrorCode =
  | 'usage'
  | 'config'
  | 'not-found'
  | 'exists'
  | 'not-running'
  | 'running'
  | 'state'
  | 'busy'
  | 'host'
  | 'command'
  | 'native'
  | 'permission'
  | 'no-space'
  | 'aborted'
  | 'timeout'
  | 'internal'

export interface ErrorOptions {
  /** An imperative that can be typed. */
  readonly hint?: string
  /** Default 1. */
  readonly exitCode?: number
  readonly cause?: unknown
}

/** `message` reads `cannot <verb> <object>: <reason>`, lower case, without a full stop. */
export class TslxcError extends Error {
  readonly code: ErrorCode
  readonly hint?: string
  readonly exitCode: number
  /** What a failing undo step said, in the order it happened. */
  readonly undoErrors: unknown[] = []

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    if (options.hint !== undefined) this.hint = options.hint
    this.exitCode = options.exitCode ?? 1
  }
}

/** The caller typed something wrong. */
export class UsageError extends TslxcError {
  constructor(message: string, options: ErrorOptions = {}) {
    super('usage', message, options)
  }
}

export interface ConfigPlace {
  readonly file: string
  /** 1-based. */
  readonly line?: number
  readonly column?: number
  /** The line with a caret below it. */
  readonly excerpt?: string
}

/** A file that people write is wrong. The message starts with `file:line:column: `. */
export class ConfigError extends TslxcError {
  readonly place: ConfigPlace

  constructor(reason: string, place: ConfigPlace, options: ErrorOptions = {}) {
    const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':')
    super('config', `${where}: ${reason}`, options)
    this.place = place
  }
}

export class NotFoundError extends TslxcError {
  constructor(message: string, options: ErrorOptions = {}) {
    super('not-found', message, options)
  }
}

export class ExistsError extends TslxcError {
  constructor(message: string, options: ErrorOptions = {}) {
    super('exists', message, options)
  }
}

/** The container is in a state in which this can't be done. */
export class StateError extends TslxcError {
  constructor(code: 'running' | 'not-running' | 'state', message: string, options: ErrorOptions = {}) {
    super(code, message, options)
  }
}

/** Somebody else holds what is needed; the message names the holder. */
export class BusyError extends TslxcError {
  constructor(message: string, options: ErrorOptions = {}) {
    super('busy', message, options)
  }
}

/** The host lacks a tool, a kernel feature or a right. */
export class HostError extends TslxcError {
  constructor(message: string, options: ErrorOptions & { readonly code?: 'host' | 'permission' | 'no-space' } = {}) {
    super(options.code ?? 'host', message, options)
  }
}

/** A tool we ran failed. */
export class CommandError extends TslxcError {
  readonly argv: readonly string[]
  readonly status: number | undefined
  readonly stderr: string

  constructor(
    message: string,
    result: { argv: readonly string[]; status: number | undefined; stderr: string },
    options: ErrorOptions = {},
  ) {
    super('command', message, options)
    this.argv = result.argv
    this.status = result.status
    this.stderr = result.stderr
  }
}

/** The addon or the native program failed. */
export class NativeError extends TslxcError {
  readonly step: string | undefined
  readonly errno: number | undefined

  constructor(message: string, where: { step?: string | undefined; errno?: number | undefined }, options: ErrorOptions = {}) {
    super('native', message, options)
    this.step = where.step
    this.errno = where.errno
  }
}
