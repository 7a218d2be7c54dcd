import { describe, expect, it } from 'vitest'
import { dhcpHostLine, dnsmasqConfig, hostsLine } from '../../../src/network/dnsmasq-text.ts'
import { firewallDown, firewallUp, tableName } from '../../../src/network/firewall.ts'
import type { ManagedNetwork } from '../../../src/network/managed-file.ts'

const network: ManagedNetwork = {
  bridge: 'br-1',
  file: '/f.yaml',
  address: { address: '10.1.2.1', prefix: 24 },
  nat: true,
  dns: true,
  domain: 'lab',
}
const files = { config: '/r/dnsmasq.conf', pid: '/r/pid', leases: '/l', hostsDir: '/r/h', dhcpHostsDir: '/r/d' }

describe('nft text', () => {
  it('replaces a table of its own in one transaction', () => {
    expect(tableName('br-1')).toBe('tslxc_br/1')
    expect(firewallUp(network)).toBe(`table inet tslxc_br/1
delete table inet tslxc_br/1
table inet tslxc_br/1 {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.1.2.0/24 ip daddr != { 10.1.2.0/24, 224.0.0.0/4, 255.255.255.255 } masquerade
	}
}
`)
  })

  it('only removes without NAT', () => {
    expect(firewallUp({ ...network, nat: false })).toBe(firewallDown('br-1'))
  })
})

describe('dnsmasq text', () => {
  it('has DNS alone', () => {
    expect(dnsmasqConfig(network, files, 'nobody')).toBe(`# Written by 'tslxc network up'; the source is /f.yaml
pid-file=/r/pid
user=nobody
interface=br-1
except-interface=lo
bind-interfaces
no-hosts
no-ping
strict-order
domain-needed
hostsdir=/r/h
domain=lab
local=/lab/
expand-hosts
`)
  })

  it('has DHCP alone', () => {
    const { domain: _, ...plain } = network
    expect(dnsmasqConfig({ ...plain, dns: false, dhcp: { first: '10.1.2.5', last: '10.1.2.9' } }, files, 'nobody')).toContain(`no-ping
port=0
dhcp-option=option:dns-server
dhcp-range=10.1.2.5,10.1.2.9,255.255.255.0,12h
dhcp-leasefile=/l
dhcp-hostsdir=/r/d
dhcp-authoritative
dhcp-no-override
`)
  })

  it('has a name and a reservation for each fixed address', () => {
    const lease = { name: 'web', address: '10.1.2.7', hwaddr: '02:00:00:00:00:01' }
    expect(hostsLine(lease)).toBe('10.1.2.7 web\n')
    expect(dhcpHostLine(lease)).toBe('02:00:00:00:00:01,10.1.2.7,web\n')
  })
})
