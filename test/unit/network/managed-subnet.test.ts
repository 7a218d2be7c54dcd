import { describe, expect, it } from 'vitest'
import { parseIpv4Cidr } from '../../../src/network/ipv4.ts'
import { freeSubnet, usedRanges } from '../../../src/network/managed-subnet.ts'

const used = (...ranges: string[]) => ranges.map((text) => ({ range: parseIpv4Cidr(text) ?? { address: '', prefix: 0 }, by: text }))

describe('the network that is chosen', () => {
  it('is 10.0.4.0/24 where that is free', () => {
    expect(freeSubnet([])).toEqual({ subnet: { address: '10.0.4.0', prefix: 24 }, refused: undefined })
    expect(freeSubnet(used('192.168.1.5/24', '10.0.3.1/24', '10.0.5.1/24')).subnet.address).toBe('10.0.4.0')
  })

  it('steps over what is in use, whichever of the two is wider', () => {
    expect(freeSubnet(used('10.0.4.77/32'))).toMatchObject({ subnet: { address: '10.0.5.0' }, refused: { by: '10.0.4.77/32' } })
    expect(freeSubnet(used('10.0.4.0/22')).subnet.address).toBe('10.0.8.0')
    expect(freeSubnet(used('10.0.0.0/8')).subnet.address).toBe('172.30.0.0')
    expect(freeSubnet(used('10.0.0.0/8', '172.16.0.0/12')).subnet.address).toBe('192.168.64.0')
  })

  it('gives up when everything private is routed', () => {
    expect(() => freeSubnet(used('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'))).toThrow('no private /24 is free')
  })

  it('does not count the bridge itself nor the default route', () => {
    const links = [{ name: 'tslxcbr0', up: true, addresses: [{ address: '10.0.4.1', prefix: 24 }] }]
    const routes = [
      { to: { address: '10.0.4.0', prefix: 24 }, dev: 'tslxcbr0' },
      { to: { address: '0.0.0.0', prefix: 0 }, dev: 'eth0', via: '192.0.2.1' },
    ]
    expect(usedRanges('tslxcbr0', links, routes).filter(({ by }) => !by.startsWith("the host's name server"))).toEqual([])
  })
})
