import { describe, expect, it } from 'vitest'
import { expandNames } from '../../../src/container/expand-names.ts'

describe('expandNames', () => {
  it.each([
    [['web'], ['web']],
    [['web{1..3}'], ['web1', 'web2', 'web3']],
    [
      ['{a,b}-{1,2}', 'c'],
      ['a-1', 'a-2', 'b-1', 'b-2', 'c'],
    ],
    [['n{08..10}'], ['n08', 'n09', 'n10']],
  ])('%j is %j', (words, names) => {
    expect(expandNames(words)).toEqual(names)
  })

  it.each([
    [['a', 'a'], "cannot make 'a' twice"],
    [['a{1..2}', 'a2'], "cannot make 'a2' twice"],
    [['web{1..'], "cannot use the name 'web{1..'"],
    [['{a}'], "cannot use the name '{a}'"],
    [['../x'], "cannot use the name '../x'"],
    [['x{1..20000}'], 'cannot make more than 10000'],
  ])('%j is refused', (words, message) => {
    expect(() => expandNames(words)).toThrow(message)
  })
})
