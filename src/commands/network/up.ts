import { BaseCommand } from '../../cli/base-command.ts'
import { bridgeArg } from '../../cli/flags.ts'
import type { NetworkChange } from '../../network/managed.ts'

export default class NetworkUp extends BaseCommand<NetworkChange> {
  static override summary = 'Bring a managed bridge up: address, NAT, DHCP and DNS'
  static override description =
    'Makes what /etc/tslxc/networks/BRIDGE.yaml says. When there is no such file it is written first, with the first free /24 from 10.0.4.0 on. ' +
    'Running it again changes nothing, and mends what is missing.'
  static override args = { bridge: bridgeArg }
  static override examples = ['tslxc network up', 'tslxc network up lan1']

  async run(): Promise<NetworkChange> {
    const { args, context } = await this.parse(NetworkUp)
    const { networkUp } = await import('../../network/managed.ts')
    return await networkUp(context.paths, { bridge: args.bridge, command: context.command })
  }

  override summarize({ changes }: NetworkChange): string {
    return changes.length === 0 ? 'already up, nothing changed\n' : changes.map((line) => `${line}\n`).join('')
  }
}
