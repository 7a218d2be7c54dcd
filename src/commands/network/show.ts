import { BaseCommand } from '../../cli/base-command.ts'
import { Args } from '../../cli/flags.ts'
import type { NetworkReport } from '../../network/managed-show.ts'

export default class NetworkShow extends BaseCommand<readonly NetworkReport[]> {
  static override summary = 'Show managed bridges: state, address, containers'
  static override args = { bridge: Args.string({ description: 'Name of the bridge; all of them when absent', ignoreStdin: true }) }
  static override examples = ['tslxc network show', 'tslxc network show tslxcbr0 --json']

  async run(): Promise<readonly NetworkReport[]> {
    const { args, context } = await this.parse(NetworkShow)
    const { describeNetwork } = await import('../../network/managed-show.ts')
    const { listNetworkNames } = await import('../../network/managed-subnet.ts')
    const bridges = args.bridge === undefined ? listNetworkNames(context.paths) : [args.bridge]
    const reports: NetworkReport[] = []
    for (const bridge of bridges) reports.push(await describeNetwork(context.paths, bridge))
    return reports
  }

  override print(reports: readonly NetworkReport[]): string {
    return reports.length === 0 ? "no networks; run 'tslxc network up' to make tslxcbr0\n" : reports.map(render).join('\n')
  }
}

function render(report: NetworkReport): string {
  const dnsmasq = report.dnsmasqPid === undefined ? 'not running' : `pid ${report.dnsmasqPid}`
  const dns = report.dns ? (report.domain === undefined ? 'yes' : `yes, domain ${report.domain}`) : 'no'
  const rows: [string, string][] = [
    ['Name:', report.bridge],
    ['State:', report.state === 'up' ? 'up' : `${report.state}: ${report.missing.join(', ')}`],
    ['Address:', report.address],
    ['NAT:', report.nat ? 'yes' : 'no'],
    ['DHCP:', report.dhcp ?? 'no'],
    ['DNS:', dns],
    ['dnsmasq:', dnsmasq],
    ['Forwarding:', forwarding(report)],
    ...report.ports.map(({ interface: name, container }): [string, string] => [
      'Port:',
      container === undefined ? name : `${name} (${container})`,
    ]),
    ...report.addresses.map(({ address, container }): [string, string] => ['Fixed:', `${address} ${container}`]),
    ...report.dhcpLeases.map(({ address, name, hwaddr }): [string, string] => ['Lease:', `${address} ${name ?? hwaddr}`]),
    ['File:', report.file],
  ]
  return rows.map(([key, value]) => `${key.padEnd(16)}${value}\n`).join('')
}

function forwarding({ forwarding: { now, found } }: NetworkReport): string {
  const word = (value: string) => (value === '1' ? 'on' : 'off')
  return found === undefined ? word(now) : `${word(now)} (was ${word(found)})`
}
