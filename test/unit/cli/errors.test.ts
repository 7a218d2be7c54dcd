import { describe, expect, it } from 'vitest'
import { errorRecord, exitCodeOf, renderError } from '../../../src/cli/errors.ts'
import type { ErrorCode } from '../../../src/lib/errors.ts'
import { NativeError, StateError, TslxcError } from '../../../src/lib/errors.ts'
import cases from '../../fixtures/errors.json' with { type: 'json' }

function errorOf(record: (typeof cases)[number]['error']): TslxcError {
  const options = record.hint === undefined ? {} : { hint: record.hint }
  if (record.code === 'native') return new NativeError(record.message, { step: record.step, errno: record.errno }, options)
  return new TslxcError(record.code as ErrorCode, record.message, options)
}

describe('the fixture that binds this text and the native one', () => {
  for (const one of cases) {
    it(one.text.split('\n')[0] ?? '', () => {
      expect(renderError(errorOf(one.error), one.verb, 'ERROR')).toBe(one.text)
      expect(errorRecord(errorOf(one.error))).toEqual(one.error)
    })
  }
})

describe('renderError', () => {
  const error = new TslxcError('command', 'cannot make the image', {
    cause: new Error('mmdebstrap exited with 1', { cause: new Error('no key') }),
  })

  it('keeps causes for DEBUG', () => {
    expect(renderError(error, 'create', 'ERROR')).not.toContain('no key')
    expect(renderError(error, 'create', 'DEBUG')).toBe(
      'tslxc create: cannot make the image\n  cause: mmdebstrap exited with 1\n  cause: no key\n',
    )
  })

  it('tells what undoing could not do', () => {
    const failed = new StateError('state', 'cannot create')
    failed.undoErrors.push(new Error("cannot remove '/x'"))
    expect(renderError(failed, 'create', 'ERROR')).toContain("while undoing: cannot remove '/x'")
  })

  it('shows what is no error of ours as a defect', () => {
    expect(renderError(new TypeError('x is undefined'), 'create', 'ERROR')).toContain('defect of tslxc')
    expect(exitCodeOf(new TypeError('x'))).toBe(1)
  })
})
