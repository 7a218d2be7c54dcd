import { describe, expect, it } from 'vitest'
import { type BridgeFacts, chooseAddress, parseAddressRequest } from '../../../src/network/addresses.ts'

const managed: BridgeFacts = {
  bridge: 'tslxcbr0',
  managed: true,
  address: { address: '10.0.4.1', prefix: 24 },
  dhcp: { first: '10.0.4.100', last: '10.0.4.199' },
}
const lan: BridgeFacts = { bridge: 'br0', managed: false, address: { address: '192.168.1.5', prefix: 24 }, router: '192.168.1.1' }
const bare: BridgeFacts = { bridge: 'br1', managed: false }
const at = (text: string) => {
  const request = parseAddressRequest(text)
  if (request.kind === 'dhcp') throw new Error('not for DHCP')
  return request
}

describe('--ip', () => {
  it('is an address, an address with prefix, auto or dhcp', () => {
    expect(parseAddressRequest('10.0.4.10')).toEqual({ kind: 'static', address: '10.0.4.10' })
    expect(parseAddressRequest('10.0.4.10/24')).toEqual({ kind: 'static', address: '10.0.4.10', prefix: 24 })
    expect(parseAddressRequest('auto')).toEqual({ kind: 'auto' })
    expect(parseAddressRequest('dhcp')).toEqual({ kind: 'dhcp' })
  })

  it.each(['', '10.0.4', '10.0.4.256', '010.0.4.1', '10.0.4.1/', '10.0.4.1/33', '10.0.4.1/24/8', '10.0.4.1 ', 'fd00::1', 'DHCP'])(
    'refuses %j',
    (text) => {
      expect(() => parseAddressRequest(text)).toThrow(`cannot use address '${text}'`)
    },
  )
})

describe('on a managed network', () => {
  it('takes prefix and gateway from the bridge', () => {
    expect(chooseAddress(managed, at('10.0.4.10'), [])).toEqual({ address: '10.0.4.10', prefix: 24, gateway: 'auto' })
    expect(chooseAddress(managed, at('10.0.4.10'), [], '10.0.4.9')).toEqual({ address: '10.0.4.10', prefix: 24, gateway: '10.0.4.9' })
  })

  it('allows an address inside the DHCP range: the reservation keeps it', () => {
    expect(chooseAddress(managed, at('10.0.4.150'), []).address).toBe('10.0.4.150')
  })

  it.each([
    ['10.0.5.10', 'it is outside 10.0.4.0/24'],
    ['10.0.5.10/24', 'it is outside 10.0.4.0/24'],
    ['10.0.4.10/16', 'has prefix 24'],
    ['10.0.4.0', 'it is the network address of 10.0.4.0/24'],
    ['10.0.4.255', 'it is the broadcast address of 10.0.4.0/24'],
    ['10.0.4.1', "it is the address of bridge 'tslxcbr0'"],
    ['10.0.4.7', "it is in use by container 'db'"],
  ])('refuses %s', (text, reason) => {
    expect(() => chooseAddress(managed, at(text), [{ address: '10.0.4.7', by: "container 'db'" }])).toThrow(reason)
  })

  it('refuses a gateway outside', () => {
    expect(() => chooseAddress(managed, at('10.0.4.10'), [], '10.0.5.1')).toThrow('cannot use gateway 10.0.5.1: it is outside 10.0.4.0/24')
  })

  it('chooses outside the DHCP range first, inside it last, and says when all are taken', () => {
    const taken = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => ({ address: `10.0.4.${from + index}`, by: 'somebody' }))
    expect(chooseAddress(managed, at('auto'), []).address).toBe('10.0.4.2')
    expect(chooseAddress(managed, at('auto'), taken(2, 99)).address).toBe('10.0.4.200')
    expect(chooseAddress(managed, at('auto'), [...taken(2, 100), ...taken(200, 254)]).address).toBe('10.0.4.101')
    expect(() => chooseAddress(managed, at('auto'), taken(2, 254))).toThrow('no address of 10.0.4.0/24 is free')
  })
})

describe('on a bridge of the LAN', () => {
  it("takes the prefix of the host's address and the host's own router", () => {
    expect(chooseAddress(lan, at('192.168.1.50'), [])).toEqual({ address: '192.168.1.50', prefix: 24, gateway: '192.168.1.1' })
  })

  it('allows another network when the prefix says which', () => {
    expect(chooseAddress(lan, at('172.16.0.9/16'), [], '172.16.0.1')).toEqual({ address: '172.16.0.9', prefix: 16, gateway: '172.16.0.1' })
    expect(() => chooseAddress(lan, at('172.16.0.9'), [])).toThrow('it is outside 192.168.1.0/24')
  })

  it('needs a prefix where the host has no address, and knows no gateway then', () => {
    expect(() => chooseAddress(bare, at('192.168.7.3'), [])).toThrow("bridge 'br1' has no IPv4 address to take the prefix from")
    expect(chooseAddress(bare, at('192.168.7.3/24'), [])).toEqual({ address: '192.168.7.3', prefix: 24 })
  })

  it('does not guess a free address', () => {
    expect(() => chooseAddress(lan, at('auto'), [])).toThrow('it is not a managed network')
  })

  it.each(['127.0.0.1/8', '224.0.0.1/24', '0.1.2.3/8', '255.255.255.255/32'])('refuses %s', (text) => {
    expect(() => chooseAddress(bare, at(text), [])).toThrow('it is not an address a host can have')
  })
})
