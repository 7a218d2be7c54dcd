/** Standard input and output as the way of an archive or a stream. */
import { isatty } from 'node:tty'
import { UsageError } from '../lib/errors.ts'

/** @throws UsageError for a terminal, and where the result would get between the bytes */
export function requireStream(direction: 'read' | 'write', json: boolean): void {
  if (isatty(direction === 'write' ? 1 : 0)) {
    throw new UsageError(
      direction === 'write' ? 'cannot write to standard output: it is a terminal' : 'cannot read from standard input: it is a terminal',
      { hint: direction === 'write' ? 'pass a file, or pipe it to another program' : 'pass a file, or pipe it from another program' },
    )
  }
  if (json && direction === 'write') throw new UsageError('cannot use --json: standard output is taken by what is written')
}
