/** The network side of `doctor`: tools, kernel parts, the networks, other programs' rules in their way. */
import { TslxcError } from '../../lib/errors.ts'
import { DEFAULT_BRIDGE } from '../../network/managed-file.ts'
import { describeNetwork, type NetworkReport } from '../../network/managed-show.ts'
import { listNetworkNames } from '../../network/managed-subnet.ts'
import { run } from '../../platform/exec.ts'
import { installCommand, isRoot, which } from '../../platform/host.ts'
import { sysctl, wildcardUdpPorts } from '../../platform/host-facts.ts'
import type { Paths } from '../../platform/paths.ts'
import { type Finding, Findings } from './doctor-report.ts'

const TOOLS = [
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['dnsmasq', 'dnsmasq-base'],
] as const
const DNS_PORT = 53
const DHCP_PORT = 67

export async function checkNetwork(paths: Paths): Promise<Finding[]> {
  const found = new Findings('network')
  const absent = TOOLS.filter(([tool]) => which(tool) === undefined)
  for (const [tool, name] of absent) found.block(`'${tool}' is not installed: no managed networks`, installCommand(name))
  if (absent.length > 0) return found.list
  if (isRoot()) await checkKernelParts(found)
  const names = listNetworkNames(paths)
  if (names.length === 0) found.warn(`no managed network`, 'tslxc network up')
  for (const name of names) await checkManaged(paths, name, found)
  if (isRoot()) await checkOtherRules(names.length === 0 ? [DEFAULT_BRIDGE] : names, found)
  return found.list
}

// In a network namespace of its own, that ends with the command: the exact question, and nothing is touched.
async function checkKernelParts(found: Findings): Promise<void> {
  const script =
    'ip link add name probe0 type bridge && ip link add name probe1 type veth peer name probe2 && ip link set dev probe1 master probe0'
  const links = await run(['unshare', '--net', 'sh', '-c', script], { okCodes: [0, 1, 2] })
  if (links.status === 0) found.ok('kernel: bridge and veth')
  else found.block(`the kernel refuses bridges or veth: ${links.stderr.trim().split('\n').at(-1)}`, 'modprobe bridge veth')
  const input = 'table inet probe {\nchain postrouting {\ntype nat hook postrouting priority srcnat;\nmasquerade\n}\n}\n'
  const nat = await run(['unshare', '--net', 'nft', '-f', '-'], { input, okCodes: [0, 1] })
  if (nat.status === 0) found.ok('kernel: NAT by nftables')
  else found.block('the kernel refuses NAT by nftables', 'modprobe nf_tables nft_masq, or set nat: false in the network file')
}

async function checkManaged(paths: Paths, name: string, found: Findings): Promise<void> {
  let report: NetworkReport
  try {
    report = await describeNetwork(paths, name)
  } catch (error) {
    if (!(error instanceof TslxcError)) throw error
    found.block(error.message, error.hint)
    return
  }
  if (report.state === 'up') found.ok(`network ${name} is up: ${report.address}, ${report.ports.length} ports`)
  else
    found.warn(
      `network ${name} is ${report.state === 'down' ? 'down' : `not complete: ${report.missing.join(', ')}`}`,
      `tslxc network up ${name}`,
    )
  if (report.dnsmasqPid !== undefined) return
  const held = wildcardUdpPorts().filter((port) => (port === DNS_PORT && report.dns) || (port === DHCP_PORT && report.dhcp !== undefined))
  if (held.length > 0)
    found.warn(
      `UDP port ${held.join(' and ')} is taken on all addresses: dnsmasq can't listen on ${name}`,
      `ss -lnup 'sport = :${held[0]}' names the program; keep it off ${name}`,
    )
}

interface NftChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly hook?: string
  readonly policy?: string
}

/** An accept of ours can't undo a drop in another table: only a rule there can. */
async function checkOtherRules(bridges: readonly string[], found: Findings): Promise<void> {
  const { stdout, status } = await run(['nft', '-j', 'list', 'chains'], { okCodes: [0, 1] })
  if (status !== 0) return
  const rows = (JSON.parse(stdout) as { nftables: readonly { readonly chain?: NftChain }[] }).nftables
  const chains = rows.flatMap(({ chain }) => (chain === undefined ? [] : [chain]))
  const dropping = chains.filter(({ hook, policy }) => (hook === 'forward' || hook === 'input') && policy === 'drop')
  for (const chain of dropping) for (const bridge of bridges) await checkDrop(chain, bridge, found)
  if (chains.some(({ table }) => table === 'firewalld'))
    for (const bridge of bridges)
      found.warn(
        `firewalld is active: it may block ${bridge}`,
        `firewall-cmd --permanent --zone=trusted --change-interface=${bridge} && firewall-cmd --reload`,
      )
  if (dropping.length === 0 && sysctl('net.bridge.bridge-nf-call-iptables') === '1')
    found.ok('bridged packets pass iptables, which lets them through')
}

async function checkDrop(chain: NftChain, bridge: string, found: Findings): Promise<void> {
  const { family, table, name, hook } = chain
  const { stdout } = await run(['nft', 'list', 'chain', family, table, name])
  if (stdout.includes(`"${bridge}"`)) return
  const what = hook === 'forward' ? 'what containers send' : 'DHCP and DNS of containers'
  found.warn(`table ${family} ${table}, chain ${name} drops ${what} on ${bridge}`, dropFix(chain, bridge))
}

function dropFix({ family, table, name, hook }: NftChain, bridge: string): string {
  const byIptables = family === 'ip' && table === 'filter' && name === name.toUpperCase()
  const insert = byIptables ? `iptables -I ${name}` : `nft insert rule ${family} ${table} ${name}`
  const matches = byIptables
    ? { from: `-i ${bridge} -j ACCEPT`, to: `-o ${bridge} -j ACCEPT` }
    : { from: `iifname ${bridge} accept`, to: `oifname ${bridge} accept` }
  return hook === 'forward' ? `${insert} ${matches.from} && ${insert} ${matches.to}` : `${insert} ${matches.from}`
}
