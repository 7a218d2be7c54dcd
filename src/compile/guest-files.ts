/** Files inside the guest that follow from the config: written by init at each start, only where they differ. */
import type { ManagedNetwork } from '../network/managed-file.ts'
import type { GuestFile } from '../runtime/spec.ts'
import { busyboxFiles } from './guest-busybox.ts'
import { ifupdownFiles } from './guest-ifupdown.ts'
import type { GuestInterface } from './guest-interface.ts'
import { guestInterface } from './guest-interface.ts'
import { networkdFiles } from './guest-networkd.ts'
import type { CompileInput, GuestRecord } from './input.ts'
import { interfacesOf } from './network.ts'

const DIALECTS: Readonly<Record<GuestRecord['network'], (interfaces: readonly GuestInterface[]) => readonly GuestFile[]>> = {
  networkd: networkdFiles,
  ifupdown: ifupdownFiles,
  busybox: busyboxFiles,
  none: () => [],
}

export function guestFiles(input: CompileInput, hostname: string): readonly GuestFile[] {
  const { guest, loaded, managed } = input
  if (guest === undefined) return []
  const vethPairs = interfacesOf(input).flatMap((item, index) => (item.type === 'veth' ? [guestInterface(item, index)] : []))
  // With the host's network, its configuration is the host's too.
  const network = loaded.config.net?.some((item) => item.type === 'none') ? [] : DIALECTS[guest.network](vethPairs)
  return [...identityFiles(hostname), ...resolverFile(loaded.config.dns, vethPairs, managed), ...network]
}

export function plainFile(path: string, content: string): GuestFile {
  return { path, content, mode: 0o644, kind: 'replace' }
}

function identityFiles(hostname: string): readonly GuestFile[] {
  const [short = hostname] = hostname.split('.')
  const names = short === hostname ? hostname : `${hostname} ${short}`
  return [
    plainFile('/etc/hostname', `${hostname}\n`),
    {
      path: '/etc/hosts',
      content: `127.0.0.1\tlocalhost\n127.0.1.1\t${names}\n::1\tlocalhost ip6-localhost ip6-loopback\n`,
      mode: 0o644,
      kind: 'block',
    },
  ]
}

/** What `dns` says, else the first managed bridge that serves names; else the file is the guest's own. */
function resolverFile(
  dns: readonly string[] | undefined,
  interfaces: readonly GuestInterface[],
  managed: ReadonlyMap<string, ManagedNetwork>,
): readonly GuestFile[] {
  if (dns?.includes('none')) return []
  const bridge = interfaces.map(({ link }) => managed.get(link ?? '')).find((network) => network?.dns)
  const servers = dns !== undefined && dns.length > 0 ? dns : bridge === undefined ? [] : [bridge.address.address]
  if (servers.length === 0) return []
  const search = bridge?.domain === undefined ? '' : `search ${bridge.domain}\n`
  return [plainFile('/etc/resolv.conf', `${servers.map((server) => `nameserver ${server}\n`).join('')}${search}`)]
}
