/** A network and mount namespace for a test, kept by a sleeping process; its end takes links, rules and routes along. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface InsideOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

export class NetNamespace implements Disposable {
  readonly #holder: ChildProcess
  readonly pid: number

  private constructor(holder: ChildProcess) {
    this.#holder = holder
    this.pid = holder.pid ?? 0
  }

  /** With `lo` up. */
  static async make(): Promise<NetNamespace> {
    const holder = spawn('unshare', ['--net', '--mount', '--propagation', 'private', 'sleep', 'infinity'], { stdio: 'ignore' })
    const namespace = new NetNamespace(holder)
    const own = readlinkSync('/proc/self/ns/mnt')
    while (readlinkSync(`/proc/${namespace.pid}/ns/mnt`) === own) await sleep(5)
    namespace.must('ip', 'link', 'set', 'lo', 'up')
    return namespace
  }

  #argv(argv: readonly string[]): string[] {
    return [`--net=/proc/${this.pid}/ns/net`, `--mount=/proc/${this.pid}/ns/mnt`, '--', ...argv]
  }

  run(argv: readonly string[], { input, env }: InsideOptions = {}): Outcome {
    const result = spawnSync('nsenter', this.#argv(argv), {
      encoding: 'utf8',
      ...(input === undefined ? {} : { input }),
      env: { ...process.env, ...env },
    })
    return { status: result.status, stdout: result.stdout, stderr: result.stderr }
  }

  start(argv: readonly string[], { env }: InsideOptions = {}): ChildProcess {
    return spawn('nsenter', this.#argv(argv), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  }

  /** Standard output of a command that must succeed. */
  must(...argv: readonly string[]): string {
    const { status, stdout, stderr } = this.run(argv)
    if (status !== 0) throw new Error(`${argv.join(' ')}: exit ${status}: ${stderr}`)
    return stdout
  }

  [Symbol.dispose](): void {
    this.#holder.kill('SIGKILL')
  }
}

/** A cable between two namespaces. */
export function connect(
  a: { readonly ns: NetNamespace; readonly name: string },
  b: { readonly ns: NetNamespace; readonly name: string },
): void {
  a.ns.must('ip', 'link', 'add', a.name, 'type', 'veth', 'peer', 'name', b.name, 'netns', String(b.ns.pid))
  a.ns.must('ip', 'link', 'set', a.name, 'up')
  b.ns.must('ip', 'link', 'set', b.name, 'up')
}
