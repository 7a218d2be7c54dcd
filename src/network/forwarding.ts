/** IPv4 forwarding of the host: set while a network is up; what was found comes back with the last one. ip-sysctl */
import { readFileSync, writeFileSync } from 'node:fs'
import { readJson, removeFile, writeJson } from '../platform/files.ts'
import { currentPlace, type NetworkPlace, samePlace } from './managed-host.ts'

const RECORD_VERSION = 1
const SYSCTL = '/proc/sys/net/ipv4/ip_forward'

interface ForwardingRecord extends NetworkPlace {
  readonly version: typeof RECORD_VERSION
  /** The value before the first `up`. */
  readonly found: string
  readonly networks: readonly string[]
}

/** '0' or '1', of the network namespace we are in. */
export const forwardingValue = (): string => readFileSync(SYSCTL, 'utf8').trim()

async function readRecord(file: string): Promise<ForwardingRecord | undefined> {
  const record = await readJson<ForwardingRecord>(file, RECORD_VERSION)
  return record !== undefined && samePlace(record, currentPlace()) ? record : undefined
}

/** The value `down` of the last network restores; undefined while no network is up. */
export const foundForwarding = async (file: string): Promise<string | undefined> => (await readRecord(file))?.found

/** The networks' lock is held. Records first: after a crash in between `down` still knows.
 *  @returns whether the value was changed */
export async function needForwarding(file: string, bridge: string): Promise<boolean> {
  const record = await readRecord(file)
  const value = forwardingValue()
  const networks = [...new Set([...(record?.networks ?? []), bridge])]
  await writeJson(file, { version: RECORD_VERSION, ...currentPlace(), found: record?.found ?? value, networks } satisfies ForwardingRecord)
  if (value === '1') return false
  writeFileSync(SYSCTL, '1')
  return true
}

/** The networks' lock is held.
 *  @returns the value that was restored, undefined when other networks still need forwarding or nothing changed */
export async function releaseForwarding(file: string, bridge: string): Promise<string | undefined> {
  const record = await readRecord(file)
  if (record === undefined || !record.networks.includes(bridge)) return undefined
  const networks = record.networks.filter((name) => name !== bridge)
  if (networks.length > 0) {
    await writeJson(file, { ...record, networks })
    return undefined
  }
  const changed = forwardingValue() !== record.found
  if (changed) writeFileSync(SYSCTL, record.found)
  await removeFile(file)
  return changed ? record.found : undefined
}
