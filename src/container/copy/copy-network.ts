/** Hardware and fixed addresses of copies: no two machines may have the same on one network. */
import type { LoadedConfig } from '../../config/loaded.ts'
import { UsageError } from '../../lib/errors.ts'
import { type AddressRequest, parseAddressRequest } from '../../network/addresses.ts'
import { type ReserveRequest, reserveAddresses } from '../../network/leases.ts'
import { expandHwaddr, HWADDR_PATTERN } from '../create/build-config.ts'
import type { StoreContext } from '../store.ts'
import type { OwnValues } from './clone-config.ts'

export interface NetworkWishes {
  readonly keepMac: boolean
  /** For the first interface of the only copy: `ADDRESS[/PREFIX]`, `auto` or `dhcp`. */
  readonly ip?: string | undefined
}

export interface NetworkPlan {
  /** Numbers of the interfaces whose hardware address is replaced. */
  readonly hwaddrs: readonly number[]
  readonly addresses: readonly PlannedAddress[]
  /** For people. */
  readonly warnings: readonly string[]
}

interface PlannedAddress {
  readonly index: number
  readonly link: string
  readonly request: AddressRequest
  readonly gateway?: string
}

/** @throws UsageError when an address is asked for that no interface can have */
export function planNetwork({ config }: LoadedConfig, { keepMac, ip }: NetworkWishes): NetworkPlan {
  const hwaddrs: number[] = []
  const addresses: PlannedAddress[] = []
  const warnings: string[] = []
  for (const [index, item] of (config.net ?? []).entries()) {
    if (item.hwaddr !== undefined && !keepMac) hwaddrs.push(index)
    const wanted = index === 0 && ip !== undefined ? parseAddressRequest(ip) : undefined
    const fixed = (item.ipv4?.address ?? []).some((address) => typeof address === 'object')
    if (wanted === undefined && !fixed) continue
    if (item.type !== 'veth' || item.link === undefined) {
      if (wanted !== undefined) throw new UsageError(`cannot give net.${index} an address: it has no bridge`)
      continue
    }
    const gateway = item.ipv4?.gateway
    addresses.push({ index, link: item.link, request: wanted ?? { kind: 'auto' }, ...(gateway === undefined ? {} : { gateway }) })
    if ((item.ipv4?.address ?? []).length > 1) warnings.push(`net.${index} of the copy has one IPv4 address, not all of the source's`)
    if ((item.ipv6?.address ?? []).some((address) => typeof address === 'object')) {
      warnings.push(`net.${index} of the copy has the IPv6 address of the source: change it before both run`)
    }
  }
  if (ip !== undefined && (config.net ?? []).length === 0) throw new UsageError('cannot give the copy an address: it has no interface')
  return { hwaddrs, addresses, warnings }
}

export interface CopyAddresses {
  readonly hwaddrs: NonNullable<OwnValues['hwaddrs']>
  readonly addresses: NonNullable<OwnValues['addresses']>
}

/** Chooses and reserves for every copy. They are given back by owner when the copy is undone. */
export async function giveCopyAddresses(
  context: StoreContext,
  plan: NetworkPlan,
  names: readonly string[],
  sourceHwaddrs: ReadonlyMap<number, string>,
): Promise<CopyAddresses[]> {
  const { paths, command } = context
  const copies = names.map((name) => ({
    name,
    hwaddrs: new Map(plan.hwaddrs.map((index) => [index, expandHwaddr(HWADDR_PATTERN)])),
    addresses: new Map<number, string>(),
  }))
  const wanted = copies.flatMap((copy) => plan.addresses.map((address) => ({ copy, ...address })))
  for (const { copy, index, request } of wanted) if (request.kind === 'dhcp') copy.addresses.set(index, 'dhcp')
  const reserved = wanted.flatMap(({ request, ...rest }) => (request.kind === 'dhcp' ? [] : [{ ...rest, ip: request }]))
  const requests = reserved.map(
    ({ copy, ...rest }): ReserveRequest => ({
      ...rest,
      lxcpath: paths.lxcpath,
      name: copy.name,
      hwaddr: copy.hwaddrs.get(rest.index) ?? sourceHwaddrs.get(rest.index) ?? '',
      command,
    }),
  )
  const chosen = await reserveAddresses(paths, requests)
  for (const [at, { copy, index }] of reserved.entries()) {
    const choice = chosen[at]
    if (choice !== undefined) copy.addresses.set(index, `${choice.address}/${choice.prefix}`)
  }
  return copies
}
