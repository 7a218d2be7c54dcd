/** What a container may leave behind on the host: mounts, cgroups, links, loop devices, processes. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { run } from './program.ts'

export interface HostState {
  readonly mounts: string[]
  readonly cgroups: string[]
  readonly links: string[]
  readonly loops: string[]
  readonly processes: string[]
}

/** Containers whose monitor lives in another network namespace are somebody else's: tests run in one of their own. */
export async function readHostState(): Promise<HostState> {
  const all = ourProcesses()
  const foreign = all.filter(({ network }) => network !== NETWORK).map(({ command }) => command.split(' ').at(-1))
  return {
    mounts: mountPoints(),
    cgroups: cgroups().filter((path) => !foreign.some((name) => path.endsWith(`.${name}`))),
    links: await links(),
    loops: loops(),
    processes: all.filter(({ network }) => network === NETWORK).map(({ pid, command }) => `${pid} ${command}`),
  }
}

const NETWORK = readlinkSync('/proc/self/ns/net')

/** To be called at the top of a test file: the host must look at its end as at its start. */
export function expectNoLeaks(): void {
  let before: HostState | undefined
  beforeAll(async () => {
    before = await readHostState()
  })
  afterAll(async () => {
    // A network namespace takes its links along some milliseconds after its last process.
    let now = await readHostState()
    for (let round = 0; round < 50 && !isNoMore(now, before); round++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      now = await readHostState()
    }
    expect(added(now, before)).toEqual({ mounts: [], cgroups: [], links: [], loops: [], processes: [] })
  })
}

function isNoMore(now: HostState, before: HostState | undefined): boolean {
  return Object.values(added(now, before)).every((list) => list.length === 0)
}

function added(now: HostState, before: HostState | undefined): HostState {
  const only = (key: keyof HostState): string[] => now[key].filter((entry) => !before?.[key].includes(entry))
  return { mounts: only('mounts'), cgroups: only('cgroups'), links: only('links'), loops: only('loops'), processes: only('processes') }
}

function mountPoints(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ').slice(3, 5).join(' '))
}

function cgroups(): string[] {
  const found: string[] = []
  const walk = (dir: string, depth: number): void => {
    for (const entry of list(dir)) {
      if (entry.startsWith('tslxc.')) found.push(join(dir, entry))
      else if (depth > 0 && existsSync(join(dir, entry, 'cgroup.procs'))) walk(join(dir, entry), depth - 1)
    }
  }
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, dir = '', type = ''] = line.split(' ')
    if (type === 'cgroup' || type === 'cgroup2') walk(dir, 3)
  }
  return found.sort()
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

/** By netlink: /sys/class/net shows the namespace in which /sys was mounted. */
async function links(): Promise<string[]> {
  const { stdout } = await run(['ip', '-j', 'link'])
  return (JSON.parse(stdout || '[]') as { ifname: string }[]).map(({ ifname }) => ifname)
}

/** Each with its file, which says whose it is. */
function loops(): string[] {
  return list('/sys/block').flatMap((name) => {
    try {
      return [`${name} ${readFileSync(join('/sys/block', name, 'loop/backing_file'), 'utf8').trim()}`]
    } catch {
      return []
    }
  })
}

interface OurProcess {
  readonly pid: string
  readonly network: string
  readonly command: string
}

/** Those of the program, and those whose program lies in a test's root. */
function ourProcesses(): OurProcess[] {
  return list('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const program = readlinkSync(`/proc/${pid}/exe`)
        const command = commandLine(pid)
        // The monitor of a privileged container runs from a detached mount, where its program has no path.
        const isMonitor = command.startsWith('[tslxc monitor]')
        if (!isMonitor && !program.includes('/dist/tslxc') && !program.includes('/tslxc-test-')) return []
        return [{ pid, network: readlinkSync(`/proc/${pid}/ns/net`), command }]
      } catch {
        return []
      }
    })
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}
