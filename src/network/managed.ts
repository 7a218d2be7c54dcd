/** The managed networks: `up` makes what the file says and nothing twice, `down` takes back what `up` made. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { BusyError, HostError, StateError, TslxcError, UsageError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import { writeJson } from '../platform/files.ts'
import { requireRoot, requireTool } from '../platform/host.ts'
import { withLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import { ensureDnsmasq, findDnsmasq, stopDnsmasq } from './dnsmasq.ts'
import { firewallDown, firewallUp, tableName } from './firewall.ts'
import { needForwarding, releaseForwarding } from './forwarding.ts'
import { broadcastOf, networkText } from './ipv4.ts'
import { publishLeases } from './leases.ts'
import { findManagedNetwork, isBridgeName, type ManagedNetwork } from './managed-file.ts'
import { type HostLink, ip, listLinks } from './managed-host.ts'
import {
  ensureNetworkDirs,
  ensureNetworksDir,
  forwardingFile,
  type NetworkFiles,
  type NetworkState,
  networkFiles,
  networksLock,
  newNetworkState,
  readNetworkState,
} from './managed-run.ts'
import { checkOverlap, createNetworkFile } from './managed-subnet.ts'

const NFT_TIMEOUT_MS = 20_000

export interface NetworkRequest {
  readonly bridge: string
  /** What runs, for those who wait: `tslxc network up`. */
  readonly command: string
  /** `down`: although containers are plugged in. */
  readonly force?: boolean
}

export interface NetworkChange {
  /** One line for each thing that was changed on the host; empty: all was as it should be already. */
  readonly changes: readonly string[]
}

type Report = (text: string) => void

/** Idempotent; safe when two run at once; mends what a crash or an ended dnsmasq left.
 *  @throws HostError when a tool is missing, TslxcError `exists` when the addresses overlap the host's. */
export async function networkUp(paths: Paths, request: NetworkRequest): Promise<NetworkChange & { readonly network: ManagedNetwork }> {
  checkRequest(request, 'bring up')
  for (const tool of ['ip', 'nft', 'dnsmasq']) requireTool(tool, `bring up network '${request.bridge}'`)
  return await exclusively(paths, request, async (report) => {
    const files = networkFiles(paths, request.bridge)
    checkOtherNamespace(request.bridge, files)
    const links = await listLinks()
    const network = findManagedNetwork(paths, request.bridge) ?? (await createNetworkFile(paths, request.bridge, { links, report }))
    await checkOverlap(network, links)
    await ensureNetworkDirs(paths, files)
    await makeBridge(network, files, { links, report })
    if (await needForwarding(forwardingFile(paths), network.bridge)) report('turned on IPv4 forwarding (net.ipv4.ip_forward)')
    await loadFirewall(network, report)
    await publishLeases(paths, network.bridge)
    const served = await ensureDnsmasq(network, files)
    if (served !== 'unchanged') report(`${served} dnsmasq on ${network.address.address}`)
    return network
  })
}

/** Not up is success.
 *  @throws StateError when containers are plugged in and `force` is not set */
export async function networkDown(paths: Paths, request: NetworkRequest): Promise<NetworkChange> {
  checkRequest(request, 'take down')
  const { changes } = await exclusively(paths, request, async (report) => {
    const { bridge } = request
    const files = networkFiles(paths, bridge)
    checkOtherNamespace(bridge, files)
    const link = (await listLinks()).find(({ name }) => name === bridge)
    const state = await readNetworkState(files)
    if (link !== undefined && state !== undefined) await checkPorts(request)
    if (await stopDnsmasq(files)) report('ended dnsmasq')
    if (await hasTable(bridge)) {
      await nft(firewallDown(bridge))
      report(`removed nftables table inet ${tableName(bridge)}`)
    }
    const restored = await releaseForwarding(forwardingFile(paths), bridge)
    if (restored !== undefined) report(`restored IPv4 forwarding to ${restored}`)
    if (link !== undefined && state !== undefined) await removeBridge(paths, { bridge, state, link, report })
    await rm(files.dir, { recursive: true, force: true })
  })
  return { changes }
}

function checkRequest({ bridge }: NetworkRequest, verb: string): void {
  requireRoot(verb, `network '${bridge}'`)
  if (!isBridgeName(bridge))
    throw new UsageError(`cannot ${verb} network '${bridge}': a bridge name is a letter and up to 14 of letters, digits, '_', '.' and '-'`)
}

async function exclusively<T>(
  paths: Paths,
  { command }: NetworkRequest,
  action: (report: Report) => Promise<T>,
): Promise<{ network: T; changes: string[] }> {
  await ensureNetworksDir(paths)
  const changes: string[] = []
  const report = (text: string) => void changes.push(text)
  const network = await withLock(paths, { path: networksLock(paths), object: 'the list of networks', command }, () => action(report))
  return { network, changes }
}

// One set of run files serves one network namespace: another one's dnsmasq must not be ended from here.
function checkOtherNamespace(bridge: string, files: NetworkFiles): void {
  const running = findDnsmasq(files)
  if (running !== undefined && !running.here)
    throw new BusyError(`cannot change network '${bridge}': it is up in another network namespace (dnsmasq, pid ${running.pid})`, {
      hint: `run 'nsenter --net=/proc/${running.pid}/ns/net tslxc network down ${bridge}'`,
    })
}

interface BridgeWork {
  readonly links: readonly HostLink[]
  readonly report: Report
}

async function makeBridge(network: ManagedNetwork, files: NetworkFiles, { links, report }: BridgeWork): Promise<void> {
  const { bridge, address } = network
  const link = links.find(({ name }) => name === bridge)
  if (link !== undefined && link.kind !== 'bridge')
    throw new HostError(`cannot bring up network '${bridge}': an interface of that name exists and is no bridge`, {
      hint: 'choose another name',
    })
  const hasAddress = link?.addresses.some((own) => own.address === address.address && own.prefix === address.prefix) ?? false
  const before = await readNetworkState(files)
  const state = newNetworkState(link === undefined || (before?.bridgeMade ?? false), !hasAddress || (before?.addressMade ?? false))
  await writeJson(files.state, state)
  if (link === undefined) {
    // Without a hardware address of its own a bridge takes its lowest port's, and changes it as containers come and go.
    await ip('link', 'add', 'name', bridge, 'address', bridgeHwaddr(bridge), 'type', 'bridge', 'stp_state', '0')
    report(`made bridge ${bridge}`)
  }
  await dropOldAddresses(network, link, before)
  if (!hasAddress) {
    await ip('addr', 'add', `${address.address}/${address.prefix}`, 'broadcast', broadcastOf(address), 'dev', bridge)
    report(`gave ${bridge} the address ${address.address}/${address.prefix}`)
  }
  if (link?.up !== true) await ip('link', 'set', 'dev', bridge, 'up')
}

// The file was edited while the network is up: the old address was ours to give and is ours to take.
async function dropOldAddresses(
  { bridge, address }: ManagedNetwork,
  link: HostLink | undefined,
  before: NetworkState | undefined,
): Promise<void> {
  if (before?.bridgeMade !== true) return
  for (const own of link?.addresses ?? [])
    if (own.address !== address.address || own.prefix !== address.prefix)
      await ip('addr', 'del', `${own.address}/${own.prefix}`, 'dev', bridge)
}

/** Locally administered, the same at each `up` of this name on this machine, so that guests' neighbour caches stay right. */
function bridgeHwaddr(bridge: string): string {
  let machine = ''
  try {
    machine = readFileSync('/etc/machine-id', 'utf8')
  } catch {
    // Without a machine-id the name alone decides.
  }
  const digest = createHash('sha256').update(`${machine}${bridge}`).digest()
  return `02:${[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`
}

async function nft(text: string): Promise<void> {
  await run(['nft', '-f', '-'], { input: text, timeoutMs: NFT_TIMEOUT_MS })
}

async function hasTable(bridge: string): Promise<boolean> {
  const { stdout } = await run(['nft', 'list', 'tables', 'inet'], { timeoutMs: NFT_TIMEOUT_MS })
  return stdout.split('\n').includes(`table inet ${tableName(bridge)}`)
}

async function loadFirewall(network: ManagedNetwork, report: Report): Promise<void> {
  const present = await hasTable(network.bridge)
  try {
    await nft(firewallUp(network))
  } catch (error) {
    if (!(error instanceof TslxcError)) throw error
    throw new HostError(`cannot set up NAT for '${network.bridge}': ${error.message.replace(/^cannot run 'nft': /, '')}`, {
      hint: `set 'nat: false' in ${network.file}, or load the kernel's nf_tables and nft_masq modules`,
      cause: error,
    })
  }
  if (!present && network.nat) report(`added nftables table inet ${tableName(network.bridge)}: NAT for ${networkText(network.address)}`)
  if (present && !network.nat) report(`removed nftables table inet ${tableName(network.bridge)}`)
}

/** Interfaces plugged into a bridge. */
export const bridgePorts = async (bridge: string): Promise<string[]> =>
  (await listLinks()).filter(({ master }) => master === bridge).map(({ name }) => name)

async function checkPorts({ bridge, force }: NetworkRequest): Promise<void> {
  const ports = await bridgePorts(bridge)
  if (ports.length === 0 || force) return
  throw new StateError('state', `cannot take down network '${bridge}': it is in use by ${ports.join(', ')}`, {
    hint: `stop its containers first, or run 'tslxc network down --force ${bridge}'`,
  })
}

interface BridgeRemoval {
  readonly bridge: string
  readonly state: NetworkState
  readonly link: HostLink
  readonly report: Report
}

async function removeBridge(paths: Paths, { bridge, state, link, report }: BridgeRemoval): Promise<void> {
  if (state.bridgeMade) {
    await ip('link', 'del', 'dev', bridge)
    report(`removed bridge ${bridge}`)
    return
  }
  const address = findManagedNetwork(paths, bridge)?.address
  if (!state.addressMade || address === undefined || !link.addresses.some((own) => own.address === address.address)) return
  await ip('addr', 'del', `${address.address}/${address.prefix}`, 'dev', bridge)
  report(`took the address ${address.address} from ${bridge}`)
}
