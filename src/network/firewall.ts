/** The nftables text of one managed network: a table of its own, replaced as a whole in one transaction. */
import ejs from 'ejs'
import { networkText } from './ipv4.ts'
import type { ManagedNetwork } from './managed-file.ts'

/** nft identifiers know no '-', interface names no '/': the mapping stays unique. */
export const tableName = (bridge: string): string => `tslxc_${bridge.replaceAll('-', '/')}`

// Declaring the table first makes `delete` succeed on the first run as well; all of it is one transaction.
// Only traffic of this network's addresses is translated; accepting it in a filter chain of ours would not
// undo a drop in another table, so there is none.
const UP = `table inet <%- table %>
delete table inet <%- table %>
table inet <%- table %> {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr <%- network %> ip daddr != { <%- network %>, 224.0.0.0/4, 255.255.255.255 } masquerade
	}
}
`

const DOWN = `table inet <%- table %>
delete table inet <%- table %>
`

/** Input for `nft -f -`; without NAT it only removes what an earlier run left. */
export const firewallUp = (network: ManagedNetwork): string =>
  ejs.render(network.nat ? UP : DOWN, { table: tableName(network.bridge), network: networkText(network.address) })

export const firewallDown = (bridge: string): string => ejs.render(DOWN, { table: tableName(bridge) })
