import { describe, expect, it } from 'vitest'
import { setKey, unsetKey } from '../../../src/config/edit.ts'

const TEXT = `# my box
include: debian.common.yaml   # base
uts: { name: web }

net:
  # the lan
  - { type: veth, link: br0 }     # first
  - type: veth
    link: br1   # second

limits:
  memory: 2G    # enough
  cpus: 1.5

# the end
`

/** Lines that are new (+) or gone (-). */
function difference(before: string, after: string): string[] {
  const [a, b] = [before.split('\n'), after.split('\n')]
  return [
    ...a.filter((line) => !b.includes(line)).map((line) => `-${line}`),
    ...b.filter((line) => !a.includes(line)).map((line) => `+${line}`),
  ]
}

describe('setKey changes nothing but the key', () => {
  it.each([
    ['limits.memory', '4G', ['-  memory: 2G    # enough', '+  memory: 4G    # enough']],
    ['limits.pids', '100', ['+  pids: 100']],
    ['net.0.link', 'br9', ['-  - { type: veth, link: br0 }     # first', '+  - { type: veth, link: br9 }     # first']],
    ['net.0.mtu', '1400', ['-  - { type: veth, link: br0 }     # first', '+  - { type: veth, link: br0, mtu: 1400 }     # first']],
    ['net.1.link', 'br8', ['-    link: br1   # second', '+    link: br8   # second']],
    ['net.1.mtu', '1400', ['+    mtu: 1400']],
    ['net.2', '{type: empty}', ['+  - {type: empty}']],
    [
      'net.0.ipv4.address',
      '10.0.0.1/24',
      ['-  - { type: veth, link: br0 }     # first', '+  - { type: veth, link: br0, ipv4: { address: 10.0.0.1/24 } }     # first'],
    ],
    ['cap.drop', '[mknod]', ['+cap: { drop: [mknod] }']],
    ['cgroup2.memory.high', '1G', ['+cgroup2: { memory.high: 1G }']],
    ['uts.name', '"a b"', ['-uts: { name: web }', '+uts: { name: "a b" }']],
    ['include', '[a, b]', ['-include: debian.common.yaml   # base', '+include: [a, b]   # base']],
    ['environment', 'A=b, c', ['+environment: A=b, c']],
  ])('%s = %s', (key, value, expected) => {
    expect(difference(TEXT, setKey('config.yaml', TEXT, key, value))).toEqual(expected)
  })

  it.each([
    ['', 'limits.memory', '2G', 'limits: { memory: 2G }\n'],
    ['# only a comment\n', 'uts.name', 'x', '# only a comment\nuts: { name: x }\n'],
    ['limits:   # none\n', 'limits.memory', '2G', 'limits: { memory: 2G }   # none\n'],
    ['limits: {}\n', 'limits.memory', '2G', 'limits: { memory: 2G }\n'],
    ['autodev: 1 # yes\n', 'autodev.tmpfs.size', '2M', 'autodev: { value: 1, tmpfs: { size: 2M } } # yes\n'],
    ['net: { type: veth }\n', 'net.0.link', 'br0', 'net: { type: veth, link: br0 }\n'],
    ['a: 1', 'b', '2', 'a: 1\nb: 2\n'],
    ['uts: { name: x }\n', 'uts.name', '', 'uts: { name: "" }\n'],
    ['uts: { name: x }\n', 'uts.name', 'a, b', 'uts: { name: "a, b" }\n'],
  ])('%j: %s = %s', (text, key, value, expected) => {
    expect(setKey('config.yaml', text, key, value)).toBe(expected)
  })

  it('refuses an item beyond the next', () => {
    expect(() => setKey('config.yaml', TEXT, 'net.5.link', 'x')).toThrow("cannot find 'net.5.link': '5' is no item of a list of 2")
  })

  it('refuses a value that is no YAML', () => {
    expect(() => setKey('config.yaml', TEXT, 'cap.drop', '[a')).toThrow("cannot read the value '[a'")
  })
})

describe('unsetKey removes nothing but the key', () => {
  it.each([
    ['limits.memory', ['-  memory: 2G    # enough']],
    ['limits', ['-limits:', '-  memory: 2G    # enough', '-  cpus: 1.5']],
    ['net.0.link', ['-  - { type: veth, link: br0 }     # first', '+  - { type: veth }     # first']],
    ['net.1.link', ['-    link: br1   # second']],
    ['net.1', ['-  - type: veth', '-    link: br1   # second']],
    ['net.0', ['-  - { type: veth, link: br0 }     # first']],
    ['uts.name', ['-uts: { name: web }']],
  ])('%s', (key, expected) => {
    const after = unsetKey('config.yaml', TEXT, key)
    expect(after).toBeDefined()
    expect(difference(TEXT, after ?? '')).toEqual(expected)
  })

  it('answers nothing for a key that is not there', () => {
    expect(unsetKey('config.yaml', TEXT, 'console.path')).toBeUndefined()
  })

  it('takes back what setKey added', () => {
    for (const [key, value] of [
      ['limits.pids', '5'],
      ['cap.drop', '[mknod]'],
      ['net.2', '{type: empty}'],
      ['net.0.mtu', '1400'],
    ] as const)
      expect(unsetKey('config.yaml', setKey('config.yaml', TEXT, key, value), key)).toBe(TEXT)
  })
})
