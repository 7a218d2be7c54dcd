/**
 * Running what brings code of the guest, or is it: in pid, mount, ipc and uts namespaces of its own, so that all of it ends with us,
 * and where it can in a user namespace, so that none of it is root on the host.
 */
import { readlinkSync } from 'node:fs'
import { appendFile, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HostError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import { copyTree } from '../platform/trees.ts'
import type { FetchWork } from './source.ts'

export type StepOfLine = (line: string) => string | undefined

/** Where the new root file system is made, and as whom. */
export interface Sandbox {
  /** As the programs inside see it. */
  readonly rootfs: string
  /** Absent: host ids. */
  readonly user?: { readonly firstId: number; readonly scratch: string }
  /** Puts a file of the host where the programs can read it; its path there. */
  bring(name: string, content: Uint8Array): Promise<string>
  /** Moves what was made to its place. */
  finish(): Promise<void>
}

interface LoggedOptions {
  readonly step?: StepOfLine | undefined
  readonly input?: string
  /** Where a new /proc is mounted; default /proc. */
  readonly proc?: string
}

const ID_COUNT = 65_536
/** A directory of the host that is hidden by our scratch directory, for these programs only: whose own path is closed to them. */
const PLACE = '/mnt'

/** @param user false: host ids, whatever `work.firstId` says */
export async function makeSandbox(work: FetchWork, user: boolean): Promise<Sandbox> {
  const { firstId } = work
  if (!user || firstId === undefined) return hostSandbox(work)
  const scratch = join(work.workDir, 'scratch')
  for (const dir of [scratch, join(scratch, 'rootfs')]) {
    await mkdir(dir, { mode: 0o755 })
    await chown(dir, firstId, firstId)
  }
  return {
    rootfs: `${PLACE}/rootfs`,
    user: { firstId, scratch },
    async bring(name, content) {
      await writeFile(join(scratch, name), content, { mode: 0o644 })
      return `${PLACE}/${name}`
    },
    finish: async () => {
      await copyTree(work, join(scratch, 'rootfs'), work.rootfs, { shift: -firstId, signal: work.signal })
    },
  }
}

function hostSandbox(work: FetchWork): Sandbox {
  return {
    rootfs: work.rootfs,
    async bring(name, content) {
      await writeFile(join(work.workDir, name), content, { mode: 0o644 })
      return join(work.workDir, name)
    },
    finish: async () => undefined,
  }
}

/** Runs a tool and keeps what it says in the log. */
export async function logged(work: FetchWork, sandbox: Sandbox, argv: readonly string[], options: LoggedOptions): Promise<void> {
  let pending = appendFile(work.logFile, `# ${argv.join(' ')}\n`, { mode: 0o600 })
  const onLine = (line: string): void => {
    pending = pending.then(() => appendFile(work.logFile, `${line}\n`))
    const text = options.step?.(line)
    if (text !== undefined) work.onStep({ text })
  }
  const common = {
    onLine,
    signal: work.signal,
    killSignal: 'SIGKILL',
    env: { LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
  } as const
  const namespaces = [...NAMESPACES, `--mount-proc=${options.proc ?? '/proc'}`, '--']
  try {
    if (sandbox.user === undefined) {
      const input = options.input === undefined ? {} : { input: options.input }
      await run([...DIE_WITH_US, ...namespaces, ...argv], { ...common, ...input })
    } else {
      const { firstId, scratch } = sandbox.user
      const enter = ['unshare', '--mount', '--', 'sh', '-c', ENTER_USER_NAMESPACE, 'sh', scratch, ...BECOME_ROOT, ...namespaces]
      const input = `go\n${options.input ?? ''}`
      await run([...DIE_WITH_US, ...enter, ...argv], { ...common, input, beforeInput: (pid) => mapIds(pid, firstId) })
    }
  } finally {
    await pending
  }
}

// Were we killed, PDEATHSIG ends unshare, --kill-child its child, and the end of a pid namespace's init all the others.
const DIE_WITH_US = ['setpriv', '--pdeathsig', 'KILL', '--']
const NAMESPACES = ['unshare', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child']
// The maps can only be written from outside, after the namespace is there: the shell waits for a line. Its capabilities would go with the
// exec of a program as an unmapped user, hence --keep-caps; PDEATHSIG goes with the change of the user, hence again.
const ENTER_USER_NAMESPACE = `mount --bind "$1" ${PLACE} && shift && exec unshare --user --keep-caps -- sh -c 'read -r go && exec "$@"' sh "$@"`
const BECOME_ROOT = ['setpriv', '--reuid', '0', '--regid', '0', '--clear-groups', '--pdeathsig', 'KILL', '--']

const NAMESPACE_TRIES = 1_000
const NAMESPACE_WAIT_MS = 5

/** Maps 65536 ids from `firstId` into the user namespace that the process makes for itself. user_namespaces(7) */
async function mapIds(pid: number, firstId: number): Promise<void> {
  const namespaceOf = (who: number | 'self'): string | undefined => {
    try {
      return readlinkSync(`/proc/${who}/ns/user`)
    } catch {
      return undefined
    }
  }
  const own = namespaceOf('self')
  for (let tries = 0; tries < NAMESPACE_TRIES; tries++) {
    const its = namespaceOf(pid)
    // It ended: run() says why.
    if (its === undefined) return
    if (its !== own) {
      for (const map of ['uid_map', 'gid_map']) await writeFile(`/proc/${pid}/${map}`, `0 ${firstId} ${ID_COUNT}\n`)
      return
    }
    await sleep(NAMESPACE_WAIT_MS)
  }
  throw new HostError('cannot make a user namespace for the bootstrap: it does not come up')
}

const STRICT = 'set -eu\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n'

/** Runs a shell script inside the new root file system. */
export async function chrootScript(
  work: FetchWork,
  sandbox: Sandbox,
  script: string,
  options: { readonly args?: readonly string[]; readonly step?: StepOfLine },
): Promise<void> {
  await logged(work, sandbox, ['chroot', sandbox.rootfs, '/bin/sh', '-s', '--', ...(options.args ?? [])], {
    input: STRICT + script,
    proc: `${sandbox.rootfs}/proc`,
    step: options.step,
  })
}

/** Lines of mmdebstrap, debootstrap, apt and dpkg as steps: few, and the same text for many lines of one kind. */
export function stepOfLine(about: string): StepOfLine {
  const kinds: readonly (readonly [RegExp, string])[] = [
    [/^I: (running apt-get update|Retrieving (In)?Release)/, 'reading the package lists'],
    [/^(Get:\d+ |I: Retrieving |I: Validating |I: downloading packages)/, 'downloading packages'],
    [/^I: (extracting archives|Extracting )/, 'unpacking the base system'],
    [/^I: (installing essential|Unpacking )/, 'installing the base system'],
    [/^I: Configuring /, 'configuring the base system'],
    [/^I: installing remaining/, 'installing packages'],
    [/^Setting up /, 'configuring packages'],
    [/^I: cleaning/, 'cleaning up'],
  ]
  return (line) => {
    const kind = kinds.find(([pattern]) => pattern.test(line))
    return kind === undefined ? undefined : `${about}: ${kind[1]}`
  }
}
