/** The dnsmasq of one network: found by its own configuration file, so that a stale pid file can't mislead. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CommandError, HostError, TslxcError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import { readTextIfPresent, removeFile, writeDurable } from '../platform/files.ts'
import { dnsmasqConfig } from './dnsmasq-text.ts'
import type { ManagedNetwork } from './managed-file.ts'
import type { NetworkFiles } from './managed-run.ts'

const START_TIMEOUT_MS = 10_000
const STOP_TIMEOUT_MS = 3_000
const POLL_MS = 10
const READABLE_FILE = 0o644

export interface DnsmasqProcess {
  readonly pid: number
  /** Runs in the network namespace we are in. */
  readonly here: boolean
}

const confOption = (files: NetworkFiles): string => `--conf-file=${files.config}`

/** The process that serves this network, in whatever network namespace. */
export function findDnsmasq(files: NetworkFiles): DnsmasqProcess | undefined {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
  const pid = pids.find((candidate) => servesNetwork(candidate, files))
  return pid === undefined ? undefined : { pid: Number(pid), here: inOurNamespace(pid) }
}

function servesNetwork(pid: string, files: NetworkFiles): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(confOption(files))
  } catch {
    return false
  }
}

function inOurNamespace(pid: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')
  } catch {
    return false
  }
}

const needsDnsmasq = (network: ManagedNetwork): boolean => network.dns || network.dhcp !== undefined

/** Starts it, or restarts it when its configuration has changed.
 *  @returns what was done
 *  @throws HostError when another server holds the port */
export async function ensureDnsmasq(
  network: ManagedNetwork,
  files: NetworkFiles,
): Promise<'started' | 'restarted' | 'stopped' | 'unchanged'> {
  const running = findDnsmasq(files)
  if (!needsDnsmasq(network)) return (await stopDnsmasq(files)) ? 'stopped' : 'unchanged'
  const text = dnsmasqConfig(network, files, dnsmasqUser())
  if (running !== undefined && (await readTextIfPresent(files.config)) === text) {
    reloadDnsmasq(files)
    return 'unchanged'
  }
  if (running !== undefined) await stopDnsmasq(files)
  await writeDurable(files.config, text, READABLE_FILE)
  await startDnsmasq(network, files)
  return running === undefined ? 'started' : 'restarted'
}

async function startDnsmasq(network: ManagedNetwork, files: NetworkFiles): Promise<void> {
  try {
    await run(['dnsmasq', confOption(files)], { timeoutMs: START_TIMEOUT_MS })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const reason =
      error.stderr
        .trim()
        .split('\n')
        .at(-1)
        ?.replace(/^dnsmasq: /, '') ?? 'it failed'
    const hint = /already in use/.test(reason)
      ? `find the other server with 'ss -lnup sport = :53 or sport = :67' and keep it off ${network.address.address}`
      : `see why with 'dnsmasq --no-daemon ${confOption(files)}'`
    throw new HostError(`cannot start dnsmasq for '${network.bridge}': ${reason}`, { hint, cause: error })
  }
}

/** @returns whether one was running */
export async function stopDnsmasq(files: NetworkFiles): Promise<boolean> {
  const running = findDnsmasq(files)
  if (running !== undefined) await endProcess(running.pid, files)
  await removeFile(files.pid)
  return running !== undefined
}

async function endProcess(pid: number, files: NetworkFiles): Promise<void> {
  const deadline = Date.now() + STOP_TIMEOUT_MS
  signal(pid, 'SIGTERM')
  while (servesNetwork(String(pid), files)) {
    if (Date.now() > deadline) signal(pid, 'SIGKILL')
    if (Date.now() > deadline + STOP_TIMEOUT_MS) throw new TslxcError('timeout', `cannot end dnsmasq (pid ${pid}): it does not react`)
    await sleep(POLL_MS)
  }
}

/** Names and reservations are read again: dnsmasq notices new files by itself, but not removed lines. */
export function reloadDnsmasq(files: NetworkFiles): void {
  const running = findDnsmasq(files)
  if (running !== undefined) signal(running.pid, 'SIGHUP')
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

function dnsmasqUser(): string {
  const users = readFileSync('/etc/passwd', 'utf8')
  return /^dnsmasq:/m.test(users) ? 'dnsmasq' : 'nobody'
}
