/** Undo in the process: what a function made is unmade, last first, unless it commits. */
import { TslxcError } from './errors.ts'

export interface UndoFailure {
  /** What the step would have undone, e.g. `remove the root file system`. */
  readonly what: string
  readonly error: unknown
}

/** Undo steps failed. Rarely seen: `attachUndoErrors` moves its content to the error that made the undo necessary. */
export class UndoError extends TslxcError {
  readonly failures: readonly UndoFailure[]

  constructor(failures: readonly UndoFailure[]) {
    super('internal', `cannot undo: ${failures.map(describeFailure).join('; ')}`)
    this.failures = failures
  }
}

/**
 * `await using undo = new UndoStack()`, `undo.add(…)` after each thing made, `undo.commit()` as the last line.
 * Disposed without commit, it runs all steps in reverse; a failing one does not keep the others from running.
 */
export class UndoStack implements AsyncDisposable {
  #steps: { readonly what: string; readonly undo: () => Promise<void> | void }[] = []

  add(what: string, undo: () => Promise<void> | void): void {
    this.#steps.push({ what, undo })
  }

  /** What was made stays. */
  commit(): void {
    this.#steps = []
  }

  /** @throws UndoError after every step has been tried. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: UndoFailure[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo()
      } catch (error) {
        failures.push({ what: step.what, error })
      }
    }
    if (failures.length > 0) throw new UndoError(failures)
  }
}

/**
 * The error a user shall see, from what left an `await using` block: when both the block and its undo failed, the
 * language throws a SuppressedError, newest first; the one that matters is the oldest.
 */
export function attachUndoErrors(error: unknown): unknown {
  if (!isSuppressedError(error)) return error
  const original = attachUndoErrors(error.suppressed)
  if (original instanceof TslxcError) {
    original.undoErrors.push(...(error.error instanceof UndoError ? error.error.failures.map(describeFailure) : [error.error]))
  }
  return original
}

// By name: Node 20 has no SuppressedError, the compiler's stand-in is a plain Error.
function isSuppressedError(error: unknown): error is Error & { readonly error: unknown; readonly suppressed: unknown } {
  return error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error && 'error' in error
}

function describeFailure(failure: UndoFailure): string {
  return `cannot ${failure.what}: ${failure.error instanceof Error ? failure.error.message : String(failure.error)}`
}
