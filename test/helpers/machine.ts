/** The virtual machine of test/vm/run: containers made here, and what a script finds when it starts them there, for a test to judge. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkout, program, run, runOk } from './program.ts'
import { makeRoot, type TestRoot } from './root.ts'

interface Finding {
  readonly code: number
  /** Both streams, without the last newline. */
  readonly text: string
}

export interface Findings {
  get(name: string): Finding
  /** What was printed by a command that had to succeed. */
  ok(name: string): string
}

/** Why no machine can be had here, or undefined. */
export function whyNoMachine(): string | undefined {
  try {
    execFileSync('qemu-system-x86_64', ['--version'])
    return undefined
  } catch {
    return 'no qemu-system-x86_64: apt-get install --no-install-recommends qemu-system-x86'
  }
}

/** Why no Debian container can be made without a network, or undefined. */
export function whyNoDebian(): string | undefined {
  const images = join(process.env.TSLXC_TEST_CACHE ?? '', 'images')
  return existsSync(images) && readdirSync(images).length > 0 ? undefined : "no Debian image: run 'node scripts/test.mjs image' first"
}

/** A machine that does nothing else needs a third of it. */
const LIMIT_S = 1150

export class Machine {
  #root: TestRoot | undefined

  /** Makes a container for the machine, whose bridge is called vmbr0. */
  async create(name: string, config: string, ...args: string[]): Promise<void> {
    this.#root ??= makeRoot()
    const file = join(this.#root.path, `${name}.yaml`)
    writeFileSync(file, config)
    const withBridge = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && ip link add vmbr0 type bridge && exec "$@"', 'sh']
    const env = { TSLXC_ROOT: this.#root.path, TSLXC_CACHE: process.env.TSLXC_TEST_CACHE }
    await runOk([...withBridge, program, 'create', name, '-f', file, ...args], { env, timeoutMs: 300_000 })
  }

  /**
   * Boots, and runs a script of test/vm, with further empty disks of these sizes and options of test/vm/run. Fails with
   * all it printed when it did not come to its end.
   */
  async run(cgroup: 'v1' | 'v2', script: string, disks: readonly string[] = [], options: readonly string[] = []): Promise<Findings> {
    const root = this.#root?.path ?? ''
    // Neither owners nor attributes of files go through the machine's shared directories.
    const disk = `${root}.ext4`
    await runOk(['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-d', root, disk, '2G'], { timeoutMs: 300_000 })
    const command = [
      'test/vm/run',
      '--cgroup',
      cgroup,
      '--timeout',
      String(LIMIT_S),
      '--disk',
      disk,
      ...disks.flatMap((size) => ['--disk', size]),
      ...options,
      '--',
      'bash',
      `test/vm/${script}`,
    ]
    const surroundings = { cwd: checkout, env: { TSLXC_ROOT: root, TSLXC_CACHE: undefined }, timeoutMs: (LIMIT_S + 30) * 1000 }
    const { code, stdout, stderr } = await run(command, surroundings)
    if (code !== 0) throw new Error(`${script} ended with ${code}\n${stdout}${stderr}`)
    return readFindings(stdout)
  }

  async remove(): Promise<void> {
    if (this.#root === undefined) return
    rmSync(`${this.#root.path}.ext4`, { force: true })
    await this.#root.remove()
  }
}

function readFindings(output: string): Findings {
  const found = new Map<string, Finding>()
  for (const [, name = '', text = '', code] of output.matchAll(/^=== (.*)\n([\s\S]*?)\n=> (\d+)$/gm))
    found.set(name, { code: Number(code), text: text.trimEnd() })
  const get = (name: string): Finding => {
    const finding = found.get(name)
    if (finding === undefined) throw new Error(`nothing was found as '${name}':\n${output}`)
    return finding
  }
  return {
    get,
    ok(name) {
      const { code, text } = get(name)
      if (code !== 0) throw new Error(`'${name}' exited with ${code}:\n${text}`)
      return text
    },
  }
}
