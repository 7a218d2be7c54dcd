/** interfaces(5) */
import type { GuestFile } from '../runtime/spec.ts'
import type { GuestInterface } from './guest-interface.ts'

/** Fixed addresses are set before init starts: `manual` leaves them alone, and a restart of networking too. */
export function ifupdownFiles(interfaces: readonly GuestInterface[]): readonly GuestFile[] {
  const lines = ["# Written at each start from the container's config.yaml.", 'auto lo', 'iface lo inet loopback']
  for (const { name, dhcp } of interfaces) lines.push('', `auto ${name}`, `iface ${name} inet ${dhcp ? 'dhcp' : 'manual'}`)
  return [{ path: '/etc/network/interfaces', content: `${lines.join('\n')}\n`, mode: 0o644, kind: 'replace', onlyIfDir: '/etc/network' }]
}
