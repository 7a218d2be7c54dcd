/** Addresses for the interfaces of a new container: asked for, chosen, or left to DHCP. */
import type { Document } from 'yaml'
import { UsageError } from '../../lib/errors.ts'
import { type AddressRequest, parseAddressRequest } from '../../network/addresses.ts'
import { reserveAddress } from '../../network/leases.ts'
import { findManagedNetwork } from '../../network/managed-file.ts'
import { listLinks } from '../../network/managed-host.ts'
import type { StoreContext } from '../store.ts'
import { type NewInterface, setAddress, settleInterfaces } from './build-config.ts'

export interface GivenAddress {
  /** The N of `net.N`. */
  readonly index: number
  readonly link?: string
  /** `10.0.4.10/24`; absent: the guest asks for one by DHCP. */
  readonly address?: string
}

export interface AddressWishes {
  readonly owner: { readonly lxcpath: string; readonly name: string }
  /** For the first interface. */
  readonly ip?: string | undefined
  readonly gateway?: string | undefined
  /** Choose a free address where nobody asked and the network is ours. */
  readonly choose: boolean
}

/** Reserves addresses and writes them into the document. They are given back by owner when the creation is undone. */
export async function giveAddresses(context: StoreContext, document: Document, wishes: AddressWishes): Promise<GivenAddress[]> {
  const given: GivenAddress[] = []
  for (const item of settleInterfaces(document)) {
    const request = requestFor(context, item, wishes)
    const link = item.link === undefined ? {} : { link: item.link }
    if (request === undefined) given.push({ index: item.index, ...link })
    else if (request.kind === 'dhcp') {
      setAddress(document, item.index, { address: 'dhcp' })
      given.push({ index: item.index, ...link })
    } else given.push({ index: item.index, ...link, address: await reserve(context, document, { item, request, wishes }) })
  }
  return given
}

/** Asks the host only where there is something to ask. */
export async function absentBridges(given: readonly GivenAddress[]): Promise<string[]> {
  const wanted = new Set(given.flatMap(({ link }) => (link === undefined ? [] : [link])))
  if (wanted.size === 0) return []
  const there = await listLinks()
  return [...wanted].filter((name) => !there.some((link) => link.name === name))
}

function requestFor({ paths }: StoreContext, item: NewInterface, { ip, choose }: AddressWishes): AddressRequest | undefined {
  if (item.index === 0 && ip !== undefined) return parseAddressRequest(ip)
  if (item.address !== undefined) return item.address === 'dhcp' || item.address === 'none' ? undefined : parseAddressRequest(item.address)
  const managed = item.link !== undefined && findManagedNetwork(paths, item.link) !== undefined
  return choose && managed ? { kind: 'auto' } : undefined
}

interface Reservation {
  readonly item: NewInterface
  readonly request: Exclude<AddressRequest, { kind: 'dhcp' }>
  readonly wishes: AddressWishes
}

async function reserve(context: StoreContext, document: Document, { item, request, wishes }: Reservation): Promise<string> {
  const { index, link, hwaddr } = item
  if (link === undefined) {
    throw new UsageError(`cannot give net.${index} an address: it has no bridge`, { hint: 'pass --link BRIDGE' })
  }
  const gateway = (index === 0 ? wishes.gateway : undefined) ?? item.gateway
  const chosen = await reserveAddress(context.paths, {
    ...wishes.owner,
    link,
    ip: request,
    index,
    hwaddr,
    command: context.command,
    ...(gateway === undefined ? {} : { gateway }),
  })
  const address = `${chosen.address}/${chosen.prefix}`
  setAddress(document, index, { address, ...(chosen.gateway === undefined ? {} : { gateway: chosen.gateway }) })
  return address
}
