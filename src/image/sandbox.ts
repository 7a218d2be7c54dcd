/** Running what brings or is code of the guest: in pid, mount, ipc and uts namespaces of its own, so that all of it ends with us. */
import { appendFile } from 'node:fs/promises'
import { run } from '../platform/exec.ts'
import type { FetchWork } from './source.ts'

export type StepOfLine = (line: string) => string | undefined

interface LoggedOptions {
  readonly step?: StepOfLine
  readonly input?: string
  /** Where a new /proc is mounted; default /proc. */
  readonly proc?: string
}

/** Runs a tool and keeps what it says in the log. */
export async function logged(
  work: Pick<FetchWork, 'logFile' | 'signal' | 'onStep'>,
  argv: readonly string[],
  options: LoggedOptions,
): Promise<void> {
  let pending = appendFile(work.logFile, `# ${argv.join(' ')}\n`, { mode: 0o600 })
  const onLine = (line: string): void => {
    pending = pending.then(() => appendFile(work.logFile, `${line}\n`))
    const text = options.step?.(line)
    if (text !== undefined) work.onStep({ text })
  }
  try {
    await run([...NAMESPACES, `--mount-proc=${options.proc ?? '/proc'}`, '--', ...argv], {
      onLine,
      signal: work.signal,
      killSignal: 'SIGKILL',
      env: { LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
      ...(options.input === undefined ? {} : { input: options.input }),
    })
  } finally {
    await pending
  }
}

// Were we killed, PDEATHSIG ends unshare, --kill-child its child, and the end of a pid namespace's init all the others.
const NAMESPACES = ['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child']

const STRICT = 'set -eu\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n'

/** Runs a shell script inside the new root file system. */
export async function chrootScript(
  work: FetchWork,
  script: string,
  options: { readonly args?: readonly string[]; readonly step?: StepOfLine },
): Promise<void> {
  await logged(work, ['chroot', work.rootfs, '/bin/sh', '-s', '--', ...(options.args ?? [])], {
    input: STRICT + script,
    proc: `${work.rootfs}/proc`,
    ...(options.step === undefined ? {} : { step: options.step }),
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
