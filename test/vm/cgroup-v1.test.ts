/** A container where cgroup v1 is all there is: one boot, in it test/vm/guest-v1.sh. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Findings, Machine, whyNoMachine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'

const BOX = `net: [{ type: empty }]
limits: { memory: 32M, cpus: 0.5, pids: 50 }
`

const missing = whyNoMachine()
const machine = new Machine()
let found: Findings

describe('cgroup v1', () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    await machine.create('box', BOX, '-t', 'busybox', '--privileged')
    found = await machine.run('v1', 'guest-v1.sh')
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => machine.remove())

  it('starts', () => {
    expect(found.ok('layout')).not.toMatch(/^$/m)
    expect(found.ok('start')).toBe('')
  })

  it('limits memory, processors and processes', () => {
    expect(found.ok('memory')).toBe(String(32 << 20))
    expect(found.ok('cpu')).toBe('50000\n100000')
    expect(found.ok('pids')).toBe('50')
  })

  it('allows some devices and no others', () => {
    expect(found.ok('allowed device')).toBe('1')
    expect(found.get('denied device')).toEqual({ code: 1, text: expect.stringContaining('Operation not permitted') })
  })

  it('tells what the container uses', () => {
    expect(found.ok('info')).toMatch(/^CPU use: +\d+\.\d+ seconds$/m)
    expect(found.ok('info')).toMatch(/^Memory use: +\d+\.\d+ [KM]iB$/m)
  })

  it('freezes; what is frozen can be killed, and nothing is left', () => {
    found.ok('freeze')
    expect(found.ok('state when frozen')).toBe('FROZEN')
    expect(found.ok('freezer when frozen')).toBe('FROZEN')
    found.ok('kill when frozen')
    expect(found.get('leftovers').text).toBe('')
  })
})
