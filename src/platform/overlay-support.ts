/** Whether overlay file systems can be kept somewhere. https://docs.kernel.org/filesystems/overlayfs.html, "upper and lower" */
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { kernelVersion } from './host.ts'

/** File systems whose directories can't be the upper one of an overlay: they lack whiteouts or trusted attributes. */
const NO_UPPER: ReadonlyMap<number, string> = new Map([
  [0x794c7630, 'overlay'],
  [0x6969, 'nfs'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb'],
  [0x4d44, 'vfat'],
  [0x2011bab0, 'exfat'],
])

/** Why no overlay can be kept in a directory; undefined: it can. Whether its module can be loaded, only a mount tells. */
export function overlayProblem(dir: string): { readonly reason: string; readonly hint: string } | undefined {
  const known = readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n')
  if (!known && !existsSync(`/lib/modules/${kernelVersion().text}/kernel/fs/overlayfs`)) {
    return { reason: 'the kernel has no overlay file system', hint: 'modprobe overlay' }
  }
  const name = NO_UPPER.get(statfsSync(dir).type)
  return name === undefined ? undefined : { reason: `'${dir}' is on ${name}, which can't carry an overlay`, hint: 'pass -B dir' }
}
