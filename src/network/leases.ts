/** Fixed addresses of containers, host-wide, in <allocDir>/leases.json under a lock; names and reservations follow from it. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isOwnedBy, isOwnedByAny, type Owner } from '../lib/owner.ts'
import { ensureDir, readJson, readTextIfPresent, writeDurable, writeJson } from '../platform/files.ts'
import { withLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import type { Spec } from '../runtime/spec.ts'
import type { AddressRequest, BridgeFacts, ChosenAddress, TakenAddress } from './addresses.ts'

const RECORD_VERSION = 1
const READABLE_FILE = 0o644

export interface Lease extends Owner {
  /** The bridge. */
  readonly network: string
  readonly address: string
  /** The N of `net.N`. */
  readonly index: number
  /** Empty: made anew at each start, so nothing can be reserved for it. */
  readonly hwaddr: string
}

export interface ReserveRequest extends Owner {
  readonly link: string
  readonly ip: Exclude<AddressRequest, { kind: 'dhcp' }>
  /** From --gw; absent: the bridge's, or the LAN's router. */
  readonly gateway?: string
  readonly index: number
  readonly hwaddr: string
  /** What runs, for those who wait: `tslxc create`. */
  readonly command: string
}

interface LeaseFile {
  readonly version: typeof RECORD_VERSION
  readonly leases: readonly Lease[]
}

const leaseFile = (paths: Paths): string => join(paths.allocDir, 'leases.json')

export const readLeases = async (paths: Paths): Promise<readonly Lease[]> =>
  (await readJson<LeaseFile>(leaseFile(paths), RECORD_VERSION))?.leases ?? []

/** The addresses of one container. */
export const findLeases = async (paths: Paths, owner: Owner): Promise<Lease[]> =>
  (await readLeases(paths)).filter((lease) => isOwnedBy(lease, owner))

/**
 * Chooses and records the address of one interface; an earlier one of the same interface is given back.
 * On return the container's name resolves on a managed network that is up.
 * @throws UsageError, NotFoundError or TslxcError `exists` with the reason it can't be had.
 */
export async function reserveAddress(paths: Paths, request: ReserveRequest): Promise<ChosenAddress> {
  const [chosen] = await reserveAddresses(paths, [request])
  return chosen as ChosenAddress
}

/** The same for many interfaces at once, in their order; all of them or none. */
export async function reserveAddresses(paths: Paths, requests: readonly ReserveRequest[]): Promise<ChosenAddress[]> {
  const [first] = requests
  if (first === undefined) return []
  const { chooseAddress } = await import('./addresses.ts')
  const { probeAddress } = await import('./leases-probe.ts')
  const { describeBridge } = await import('./managed-host.ts')
  const facts = new Map<string, BridgeFacts>()
  for (const { link } of requests) if (!facts.has(link)) facts.set(link, await describeBridge(paths, link))
  return await locked(paths, first.command, async () => {
    let leases = await readLeases(paths)
    const chosen: ChosenAddress[] = []
    const others = new Map<string, readonly TakenAddress[]>()
    for (const request of requests) {
      const bridge = facts.get(request.link) as BridgeFacts
      leases = leases.filter((lease) => !(isOwnedBy(lease, request) && lease.index === request.index))
      if (!others.has(request.link)) others.set(request.link, await takenOutsideLeases(paths, bridge, requests))
      const taken = [...takenByLeases(leases, bridge), ...(others.get(request.link) ?? [])]
      const choice = chooseAddress(bridge, request.ip, taken, request.gateway)
      if (!bridge.managed) await probeAddress(bridge, choice)
      const { lxcpath, name, index, hwaddr, link } = request
      leases = [...leases, { network: link, address: choice.address, lxcpath, name, index, hwaddr }]
      chosen.push(choice)
    }
    await writeLeases(paths, leases)
    for (const link of facts.keys()) await publishLeases(paths, link)
    return chosen
  })
}

/** A container's addresses go over to another name of it, which resolves to them from then on. */
export async function moveLeases(paths: Paths, from: Owner, to: Owner, command: string): Promise<void> {
  if (!existsSync(leaseFile(paths))) return
  await locked(paths, command, async () => {
    const leases = await readLeases(paths)
    const moved = leases.filter((lease) => isOwnedBy(lease, from))
    if (moved.length === 0) return
    await writeLeases(
      paths,
      leases.map((lease) => (isOwnedBy(lease, from) ? { ...lease, ...pickOwner(to) } : lease)),
    )
    for (const network of new Set(moved.map((lease) => lease.network))) await publishLeases(paths, network)
  })
}

/** Gives back every address of a container; none is success. */
export const releaseAddresses = (paths: Paths, owner: Owner, command = 'tslxc destroy'): Promise<void> =>
  releaseManyAddresses(paths, [owner], command)

/** The same for many at once. */
export async function releaseManyAddresses(paths: Paths, owners: readonly Owner[], command: string): Promise<void> {
  if (!existsSync(leaseFile(paths))) return
  const isReleased = isOwnedByAny(owners)
  await locked(paths, command, async () => {
    const leases = await readLeases(paths)
    const released = leases.filter(isReleased)
    if (released.length === 0) return
    await writeLeases(
      paths,
      leases.filter((lease) => !isReleased(lease)),
    )
    for (const network of new Set(released.map((lease) => lease.network))) await publishLeases(paths, network)
  })
}

/** An interface as its container's configuration has it now. */
export interface ConfiguredAddress {
  readonly index: number
  readonly link: string
  readonly address: string
  readonly hwaddr: string
}

/** Makes the records say what an edited configuration says. Refuses nothing: the file of the admin is the truth. */
export async function reconcileLeases(paths: Paths, owner: Owner, configured: readonly ConfiguredAddress[]): Promise<void> {
  const wanted: Lease[] = configured.map(({ index, link, address, hwaddr }) => ({
    network: link,
    address,
    ...pickOwner(owner),
    index,
    hwaddr,
  }))
  if (sameLeases(await findLeases(paths, owner), wanted)) return
  await locked(paths, 'tslxc compile', async () => {
    const before = await readLeases(paths)
    await writeLeases(paths, [...before.filter((lease) => !isOwnedBy(lease, owner)), ...wanted])
    const touched = [...before.filter((lease) => isOwnedBy(lease, owner)), ...wanted].map((lease) => lease.network)
    for (const network of new Set(touched)) await publishLeases(paths, network)
  })
}

const pickOwner = ({ lxcpath, name }: Owner): Owner => ({ lxcpath, name })

function sameLeases(a: readonly Lease[], b: readonly Lease[]): boolean {
  const keys = (leases: readonly Lease[]) =>
    leases.map((lease) => `${lease.index} ${lease.network} ${lease.address} ${lease.hwaddr}`).sort()
  return JSON.stringify(keys(a)) === JSON.stringify(keys(b))
}

async function locked<T>(paths: Paths, command: string, action: () => Promise<T>): Promise<T> {
  await ensureDir(paths.allocDir)
  return await withLock(paths, { path: `${leaseFile(paths)}.lock`, object: 'the list of addresses', command }, action)
}

const writeLeases = (paths: Paths, leases: readonly Lease[]): Promise<void> =>
  writeJson(leaseFile(paths), { version: RECORD_VERSION, leases } satisfies LeaseFile)

/** Writes what dnsmasq reads; a network that is not up has no directory, and `up` does it then. */
export async function publishLeases(paths: Paths, network: string): Promise<void> {
  const { networkFiles } = await import('./managed-run.ts')
  const files = networkFiles(paths, network)
  if (!existsSync(files.hostsDir) || !existsSync(files.dhcpHostsDir)) return
  const { reloadDnsmasq } = await import('./dnsmasq.ts')
  const { dhcpHostLine, hostsLine } = await import('./dnsmasq-text.ts')
  const leases = (await readLeases(paths)).filter((lease) => lease.network === network)
  const hosts = leases.map(hostsLine).join('')
  const reservations = leases
    .filter(({ hwaddr }) => hwaddr !== '')
    .map(dhcpHostLine)
    .join('')
  await writeDurable(join(files.hostsDir, 'containers'), hosts, READABLE_FILE)
  await writeDurable(join(files.dhcpHostsDir, 'containers'), reservations, READABLE_FILE)
  reloadDnsmasq(files)
}

const takenByLeases = (leases: readonly Lease[], { bridge }: BridgeFacts): TakenAddress[] =>
  leases.filter((lease) => lease.network === bridge).map(({ address, name }) => ({ address, by: `container '${name}'` }))

async function takenOutsideLeases(paths: Paths, facts: BridgeFacts, requests: readonly ReserveRequest[]): Promise<TakenAddress[]> {
  const { listLinks } = await import('./managed-host.ts')
  const links = await listLinks()
  return [
    ...links.flatMap(({ name, addresses }) => addresses.map(({ address }) => ({ address, by: `the host (${name})` }))),
    ...specAddresses(requests, facts.bridge),
    ...(facts.managed ? await dynamicLeases(paths, facts.bridge, requests) : []),
  ]
}

// A container whose configuration was written by hand has no lease, but its compiled plan names the address.
function specAddresses(requests: readonly ReserveRequest[], bridge: string): TakenAddress[] {
  const own = new Set(requests.map(({ lxcpath, name }) => join(lxcpath, name)))
  return [...new Set(requests.map(({ lxcpath }) => lxcpath))].flatMap((lxcpath) => {
    const names = existsSync(lxcpath) ? readdirSync(lxcpath) : []
    return names
      .filter((name) => !own.has(join(lxcpath, name)) && !name.startsWith('.'))
      .flatMap((name) => {
        const plans = readSpecNetwork(join(lxcpath, name, 'spec.json'))
        const addresses = plans.filter((plan) => plan.link === bridge).flatMap((plan) => plan.addresses)
        return addresses.map(({ address }) => ({ address, by: `container '${name}'` }))
      })
  })
}

function readSpecNetwork(file: string): Spec['network'] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as Spec).network
  } catch {
    return []
  }
}

async function dynamicLeases(paths: Paths, bridge: string, requests: readonly ReserveRequest[]): Promise<TakenAddress[]> {
  const leases = await listDynamicLeases(paths, bridge)
  const own = new Set(requests.map(({ hwaddr }) => hwaddr.toLowerCase()))
  return leases
    .filter(({ hwaddr }) => !own.has(hwaddr.toLowerCase()))
    .map(({ address, name, hwaddr }) => ({ address, by: `a DHCP lease of ${name === undefined ? hwaddr : `'${name}'`}` }))
}

export interface DynamicLease {
  readonly address: string
  readonly hwaddr: string
  /** What the machine calls itself; absent: it did not say. */
  readonly name?: string
}

/** dnsmasq's own leases that have not run out: lines `EXPIRY MAC ADDRESS NAME CLIENT-ID`, expiry 0 is for ever. dnsmasq(8) */
export async function listDynamicLeases(paths: Paths, bridge: string): Promise<DynamicLease[]> {
  const { networkFiles } = await import('./managed-run.ts')
  const text = (await readTextIfPresent(networkFiles(paths, bridge).leases)) ?? ''
  const now = Date.now() / 1000
  return text.split('\n').flatMap((line) => {
    const [expiry, hwaddr, address, name] = line.split(' ')
    if (hwaddr === undefined || address === undefined || (Number(expiry) !== 0 && Number(expiry) < now)) return []
    return [{ address, hwaddr, ...(name === undefined || name === '*' ? {} : { name }) }]
  })
}
