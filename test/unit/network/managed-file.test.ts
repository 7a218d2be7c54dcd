import { describe, expect, it } from 'vitest'
import { parseManagedNetwork } from '../../../src/network/managed-file.ts'

const file = '/etc/tslxc/networks/br1.yaml'
const parse = (text: string) => parseManagedNetwork(text, file)

describe('a network file', () => {
  it('has defaults', () => {
    expect(parse('bridge: br1\nipv4: { address: 10.1.2.1/24 }\n')).toEqual({
      bridge: 'br1',
      file,
      address: { address: '10.1.2.1', prefix: 24 },
      nat: true,
      dns: true,
    })
  })

  it('has everything', () => {
    const text =
      'bridge: br1\nipv4:\n  address: 10.1.2.1/24\n  nat: false\n  dhcp: { range: 10.1.2.50-10.1.2.60 }\ndns: false\ndomain: lab.example\n'
    expect(parse(text)).toMatchObject({ nat: false, dhcp: { first: '10.1.2.50', last: '10.1.2.60' }, dns: false, domain: 'lab.example' })
    expect(parse('bridge: br1\nipv4: { address: 10.1.2.1/24, dhcp: false }\n').dhcp).toBeUndefined()
  })

  it.each([
    ['bridge: br1\n', '1:1: ipv4 is missing'],
    ['bridge: br1\nipv4: { adress: 10.1.2.1/24 }\n', '2:17: ipv4.adress is not a known key'],
    ['bridge: br1\nipv4: { address: 10.1.2.1 }\n', '2:18: ipv4.address is not ADDRESS/PREFIX'],
    ['bridge: br1\nipv4: { address: 10.1.2.1/24, nat: maybe }\n', '2:36: ipv4.nat must be boolean'],
    ['bridge: br1\nipv4:\n  address: 10.1.2.0/24\n', "3:12: ipv4.address is the network's own address"],
    ['bridge: br1\nipv4:\n  address: 10.1.2.255/24\n', '3:12: ipv4.address is the broadcast address'],
    ['bridge: br1\nipv4:\n  address: 10.1.2.1/31\n', '3:12: ipv4.address needs a prefix between 8 and 29'],
    [
      'bridge: br1\nipv4: { address: 10.1.2.1/24, dhcp: { range: 10.1.3.1-10.1.3.9 } }\n',
      '2:46: ipv4.dhcp.range has 10.1.3.1, which is outside 10.1.2.0/24',
    ],
    ['bridge: br1\nipv4: { address: 10.1.2.1/24, dhcp: { range: 10.1.2.1-10.1.2.9 } }\n', '2:46: ipv4.dhcp.range must not hold 10.1.2.1'],
    ['bridge: br1\nipv4: { address: 10.1.2.1/24, dhcp: { range: 10.1.2.9-10.1.2.2 } }\n', '2:46: ipv4.dhcp.range is not FIRST-LAST'],
    ['bridge: br2\nipv4: { address: 10.1.2.1/24 }\n', "1:9: bridge is 'br2', but the file is named for another bridge"],
    ['bridge: br1\nipv4: { address: 10.1.2.1/24\n', '3:1: '],
    ['bridge: br1\ndomain: a b\nipv4: { address: 10.1.2.1/24 }\n', '2:9: domain is not a domain name'],
  ])('says what is wrong where: %j', (text, message) => {
    expect(() => parse(text)).toThrow(`${file}:${message}`)
  })
})
