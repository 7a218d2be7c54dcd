/** systemd.network(5) */
import type { GuestFile } from '../runtime/spec.ts'
import type { GuestInterface } from './guest-interface.ts'

const DIR = '/etc/systemd/network'
/** Files of interfaces that an edit took away must not linger: these names are looked after. */
const TENDED = ['eth0', 'eth1', 'eth2', 'eth3'] as const

export function networkdFiles(interfaces: readonly GuestInterface[]): readonly GuestFile[] {
  const names = new Set(interfaces.map(({ name }) => name))
  return [
    ...interfaces.map(
      (item): GuestFile => ({ path: fileOf(item.name), content: render(item), mode: 0o644, kind: 'replace', onlyIfDir: '/etc/systemd' }),
    ),
    ...TENDED.filter((name) => !names.has(name)).map(
      (name): GuestFile => ({ path: fileOf(name), content: '', mode: 0o644, kind: 'absent' }),
    ),
  ]
}

const fileOf = (name: string): string => `${DIR}/10-tslxc-${name}.network`

function render(item: GuestInterface): string {
  const lines = [
    "# Written at each start from the container's config.yaml.",
    '[Match]',
    `Name=${item.name}`,
    '',
    '[Network]',
    ...networkLines(item),
  ]
  // A default route straight to the interface has no gateway: systemd.network(5), [Route].
  for (const { family, address } of item.gateways)
    if (address === 'dev') lines.push('', '[Route]', `Destination=${family === 4 ? '0.0.0.0/0' : '::/0'}`, 'Scope=link')
  for (const { address, prefix, broadcast } of item.addresses)
    if (broadcast !== undefined) lines.push('', '[Address]', `Address=${address}/${prefix}`, `Broadcast=${broadcast}`)
  return `${lines.join('\n')}\n`
}

function networkLines(item: GuestInterface): string[] {
  const unknownGateway = item.gateways.some(({ address }) => address === 'auto')
  return [
    `DHCP=${item.dhcp ? 'ipv4' : 'no'}`,
    `LinkLocalAddressing=${item.ipv6 === 'off' ? 'no' : 'ipv6'}`,
    `IPv6AcceptRA=${item.ipv6 === 'announced' ? 'yes' : 'no'}`,
    // The route through a bridge of which nothing is known here was set before init started: networkd must leave it.
    ...(unknownGateway ? ['KeepConfiguration=static'] : []),
    ...item.addresses.filter(({ broadcast }) => broadcast === undefined).map(({ address, prefix }) => `Address=${address}/${prefix}`),
    ...item.gateways.filter(({ address }) => address !== 'auto' && address !== 'dev').map(({ address }) => `Gateway=${address}`),
  ]
}
