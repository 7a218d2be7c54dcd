/** Cancelling: Ctrl-C and termination reach lifecycle functions as an AbortSignal. */
import { TslxcError } from './errors.ts'

/** 128 + SIGINT: what a shell reports for an interrupted command. */
const INTERRUPTED_EXIT_CODE = 130

/** What an aborted call throws. */
export function abortedError(cause?: unknown): TslxcError {
  return new TslxcError('aborted', 'interrupted', { exitCode: INTERRUPTED_EXIT_CODE, cause })
}

/** To be called between steps. @throws TslxcError `aborted` */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal.reason)
}
