import { expect, it } from 'vitest'
import { checkName, nameProblem } from '../../../src/lib/names.ts'

it.each(['web', 'a', '0', 'web-1.example_x', 'A'.repeat(63)])('accepts %j', (name) => {
  expect(nameProblem(name)).toBeUndefined()
})

it.each(['', '.', '..', '.hidden', '-f', 'a/b', 'a b', 'a\n', 'ü', 'A'.repeat(64), '../x'])('refuses %j', (name) => {
  expect(nameProblem(name)).toBeTypeOf('string')
  expect(() => checkName(name)).toThrow(/cannot use the name/)
})
