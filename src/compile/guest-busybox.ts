import type { GuestFile } from '../runtime/spec.ts'
import type { GuestInterface } from './guest-interface.ts'

/** A line a job, read by the template's rcS: `dhcp IF` asks for an address. Fixed ones are set before init starts. */
export function busyboxFiles(interfaces: readonly GuestInterface[]): readonly GuestFile[] {
  const content = interfaces
    .filter(({ dhcp }) => dhcp)
    .map(({ name }) => `dhcp ${name}\n`)
    .join('')
  return [{ path: '/etc/tslxc-net', content, mode: 0o644, kind: 'replace' }]
}
