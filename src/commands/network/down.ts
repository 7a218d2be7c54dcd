import { BaseCommand } from '../../cli/base-command.ts'
import { bridgeArg, Flags } from '../../cli/flags.ts'
import type { NetworkChange } from '../../network/managed.ts'

export default class NetworkDown extends BaseCommand<NetworkChange> {
  static override summary = 'Take a managed bridge down, and what came with it'
  static override description =
    "Ends dnsmasq, removes the bridge and the network's nftables table, and restores IPv4 forwarding to what 'network up' found. " +
    'The file in /etc/tslxc/networks and the addresses of containers stay.'
  static override args = { bridge: bridgeArg }
  static override flags = { force: Flags.boolean({ char: 'f', summary: 'Although containers are plugged in' }) }
  static override examples = ['tslxc network down']

  async run(): Promise<NetworkChange> {
    const { args, flags, context } = await this.parse(NetworkDown)
    const { networkDown } = await import('../../network/managed.ts')
    return await networkDown(context.paths, {
      bridge: args.bridge,
      command: context.command,
      force: flags.force,
    })
  }

  override summarize({ changes }: NetworkChange): string {
    return changes.length === 0 ? 'not up, nothing changed\n' : changes.map((line) => `${line}\n`).join('')
  }
}
