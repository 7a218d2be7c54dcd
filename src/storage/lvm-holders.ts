/** Who uses a block device: mounts in any namespace, and devices on top of it. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

interface Holders {
  /** `: process 12 (name) has it mounted at /x`, or empty when nobody is found. */
  readonly text: string
  readonly hint: string
}

const MINOR_BITS = 8
const HIGH_MINOR_SHIFT = 12

export function holdersOf(device: string): Holders {
  const number = deviceNumber(device)
  if (number !== undefined) {
    const above = list(`/sys/dev/block/${number}/holders`)
    if (above.length > 0) return { text: `: '/dev/${above[0]}' is on top of it`, hint: `lsblk ${device}` }
    for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
      const mount = mountPoint(pid, number)
      if (mount !== undefined) {
        return {
          text: `: process ${pid} (${read(`/proc/${pid}/comm`).trim()}) sees it mounted at '${mount}'`,
          hint: `nsenter -t ${pid} -m umount ${mount}`,
        }
      }
    }
  }
  return { text: '', hint: `lsblk ${device}` }
}

/** `MAJOR:MINOR`, as mountinfo and /sys spell it. */
function deviceNumber(device: string): string | undefined {
  try {
    const rdev = BigInt(statSync(device).rdev)
    const major = (rdev >> BigInt(MINOR_BITS)) & 0xfffn
    const minor = (rdev & 0xffn) | ((rdev >> BigInt(HIGH_MINOR_SHIFT)) & 0xffffff00n)
    return `${major}:${minor}`
  } catch {
    return undefined
  }
}

/** proc_pid_mountinfo(5): fields 3 and 5. */
function mountPoint(pid: string, number: string): string | undefined {
  const line = read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .find((one) => one.split(' ')[2] === number)
  return line?.split(' ')[4]
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(join(file), 'utf8')
  } catch {
    return ''
  }
}
