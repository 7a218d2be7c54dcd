/** What is mounted where, and who keeps it busy: proc_pid_mountinfo(5) and the links below /proc/PID. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Holder {
  readonly pid: number
  /** Name of the program, as ps shows it. */
  readonly program: string
}

/** The mount namespace of a process, as `mnt:[4026531840]`; undefined when it is gone. */
export const mountNamespaceOf = (pid: number | 'self'): string | undefined => linkOf(`/proc/${pid}/ns/mnt`)

/** Mount points that a process sees, in order; one that is mounted over stands several times. */
export function mountPoints(pid: number | 'self' = 'self'): readonly string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const point = line.split(' ')[4]
      // Blanks and backslashes are in octal.
      return point === undefined
        ? []
        : [point.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))]
    })
}

/** Some process in a mount namespace; undefined when nobody is left there, and so none of its mounts. */
export const processIn = (namespace: string): number | undefined => processes().find((pid) => mountNamespaceOf(pid) === namespace)

/** Processes that have something open below a mount point, or stand or run there. */
export function holdersOf(point: string): readonly Holder[] {
  const isBelow = (path: string | undefined): boolean => path !== undefined && (path === point || path.startsWith(`${point}/`))
  return processes().flatMap((pid) => {
    const links = ['cwd', 'root', 'exe', ...entriesOf(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)]
    if (!links.some((link) => isBelow(linkOf(`/proc/${pid}/${link}`))) && !mapsBelow(pid, point)) return []
    return [{ pid, program: programOf(pid) }]
  })
}

const processes = (): number[] => entriesOf('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []))

function mapsBelow(pid: number, point: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8').includes(` ${point}/`)
  } catch {
    return false
  }
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return 'a process that has ended'
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
