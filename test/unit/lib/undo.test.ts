import { describe, expect, it } from 'vitest'
import { TslxcError } from '../../../src/lib/errors.ts'
import { attachUndoErrors, UndoError, UndoStack } from '../../../src/lib/undo.ts'

describe('UndoStack', () => {
  it('undoes in reverse order unless committed', async () => {
    const done: string[] = []
    const work = async (commit: boolean) => {
      await using undo = new UndoStack()
      undo.add('first', () => void done.push('first'))
      undo.add('second', async () => void done.push('second'))
      if (commit) undo.commit()
    }
    await work(true)
    expect(done).toEqual([])
    await work(false)
    expect(done).toEqual(['second', 'first'])
  })

  it('attaches what an undo step says to the error that made it necessary', async () => {
    const done: string[] = []
    const work = async () => {
      await using undo = new UndoStack()
      undo.add('remove the first thing', () => void done.push('first'))
      undo.add('remove the second thing', () => {
        throw new Error('device is busy')
      })
      throw new TslxcError('no-space', 'cannot create: no space left')
    }
    const error = await work().then(
      () => undefined,
      (thrown: unknown) => attachUndoErrors(thrown),
    )
    expect(error).toBeInstanceOf(TslxcError)
    expect((error as TslxcError).message).toBe('cannot create: no space left')
    expect((error as TslxcError).undoErrors).toEqual(['cannot remove the second thing: device is busy'])
    expect(done).toEqual(['first'])
  })

  it('throws its own error when nothing else failed', async () => {
    const work = async () => {
      await using undo = new UndoStack()
      undo.add('remove it', () => Promise.reject(new Error('no')))
    }
    await expect(work()).rejects.toBeInstanceOf(UndoError)
  })
})
