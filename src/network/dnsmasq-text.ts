/** What one dnsmasq reads: its configuration, names and reservations. */
import ejs from 'ejs'
import { netmaskOf } from './ipv4.ts'
import type { ManagedNetwork } from './managed-file.ts'

/** Where the files of one network's dnsmasq are. */
export interface DnsmasqFiles {
  readonly config: string
  readonly pid: string
  readonly leases: string
  readonly hostsDir: string
  readonly dhcpHostsDir: string
}

/** One fixed address of a container. */
export interface Reservation {
  readonly name: string
  readonly address: string
  readonly hwaddr: string
}

// no-hosts: the host's /etc/hosts often maps its own name to 127.0.1.1, which is wrong for a guest.
// no-ping: addresses come from one registry, and the probe makes each first lease wait three seconds.
const CONFIG = `# Written by 'tslxc network up'; the source is <%- network.file %>
pid-file=<%- files.pid %>
user=<%- user %>
interface=<%- network.bridge %>
except-interface=lo
bind-interfaces
no-hosts
no-ping
<% if (network.dns) { -%>
strict-order
domain-needed
hostsdir=<%- files.hostsDir %>
<% if (network.domain !== undefined) { -%>
domain=<%- network.domain %>
local=/<%- network.domain %>/
expand-hosts
<% } -%>
<% } else { -%>
port=0
dhcp-option=option:dns-server
<% } -%>
<% if (network.dhcp !== undefined) { -%>
dhcp-range=<%- network.dhcp.first %>,<%- network.dhcp.last %>,<%- netmask %>,12h
dhcp-leasefile=<%- files.leases %>
dhcp-hostsdir=<%- files.dhcpHostsDir %>
dhcp-authoritative
dhcp-no-override
<% } -%>
`

export const dnsmasqConfig = (network: ManagedNetwork, files: DnsmasqFiles, user: string): string =>
  ejs.render(CONFIG, { network, files, user, netmask: netmaskOf(network.address.prefix) })

/** A hosts(5) line; expand-hosts adds the domain. */
export const hostsLine = ({ address, name }: Reservation): string => `${address} ${name}\n`

/** A dhcp-host line: the MAC gets this address and nobody else does. */
export const dhcpHostLine = ({ hwaddr, address, name }: Reservation): string => `${hwaddr},${address},${name}\n`
