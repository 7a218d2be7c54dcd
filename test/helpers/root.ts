/** A TSLXC_ROOT of a test's own, whose containers are killed and whose files are removed at the end. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Outcome, program, type RunOptions, run, runOk } from './program.ts'

export interface TestRoot {
  readonly path: string
  /** Of images. */
  readonly cache: string | undefined
  readonly lxcpath: string
  /** `tslxc ARGS` in this root. */
  tslxc(...args: string[]): Promise<Outcome>
  tslxcWith(options: RunOptions, ...args: string[]): Promise<Outcome>
  /** `tslxc ARGS` that must succeed; its standard output. */
  ok(...args: string[]): Promise<string>
  /** A busybox container without a network interface but lo, not started. More words go to `create`. */
  createBusybox(name: string, ...args: string[]): Promise<void>
  /** Kills what runs, removes everything. Call it in afterAll. */
  remove(): Promise<void>
}

/**
 * On /var/tmp: a real file system, with idmapped mounts, where /tmp may be anything. `ownCache`: images of its own, for a
 * test that removes some; the others share theirs.
 */
export function makeRoot({ ownCache = false } = {}): TestRoot {
  const path = mkdtempSync('/var/tmp/tslxc-test-')
  const lxcpath = join(path, 'var/lib/tslxc')
  // Beside: a test may mount a small disk at the root.
  const cache = ownCache ? `${path}.cache` : process.env.TSLXC_TEST_CACHE
  if (ownCache) mkdirSync(`${path}.cache`, { mode: 0o700 })
  const env = { TSLXC_ROOT: path, TSLXC_CACHE: cache }
  const tslxcWith = (options: RunOptions, ...args: string[]): Promise<Outcome> =>
    run([program, ...args], { ...options, env: { ...env, ...options.env } })
  return {
    path,
    cache,
    lxcpath,
    tslxc: (...args) => tslxcWith({}, ...args),
    tslxcWith,
    ok: (...args) => runOk([program, ...args], { env }),
    async createBusybox(name, ...args) {
      const config = join(path, 'no-network.yaml')
      writeFileSync(config, 'net: [{ type: empty }]\n')
      await runOk([program, 'create', name, '-t', 'busybox', '-f', config, ...args], { env })
    },
    async remove() {
      const names = existsSync(lxcpath) ? readdirSync(lxcpath).filter((name) => !name.startsWith('.')) : []
      for (const name of names) await tslxcWith({}, 'stop', '-k', '-n', name)
      await untilDeletedBehind(path)
      rmSync(path, { recursive: true, force: true, maxRetries: 12, retryDelay: 200 })
      if (ownCache) rmSync(`${path}.cache`, { recursive: true, force: true })
    },
  }
}

/** Trees are deleted by a process of their own, which would go on making files here. */
export async function untilDeletedBehind(path: string): Promise<void> {
  const isDeleting = (pid: string): boolean => {
    try {
      const [words, environment] = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0'))
      return words?.includes('empty-trash') === true && environment?.includes(`TSLXC_ROOT=${path}`) === true
    } catch {
      return false
    }
  }
  for (let round = 0; round < 200; round++) {
    if (!readdirSync('/proc').some((entry) => /^\d+$/.test(entry) && isDeleting(entry))) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
