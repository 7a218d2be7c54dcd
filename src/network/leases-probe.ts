/** Asks a LAN whether somebody has an address, without tools: the kernel resolves the neighbour of a datagram. */
import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { TslxcError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { BridgeFacts, ChosenAddress } from './addresses.ts'
import { contains } from './ipv4.ts'

const DISCARD_PORT = 9
const POLL_MS = 25
const POLLS = 16

interface Neighbour {
  readonly lladdr?: string
  readonly state?: readonly string[]
}

/** A host without an address on the bridge can't ask; silence means free.
 *  @throws TslxcError `exists` that names the hardware address which answered */
export async function probeAddress({ bridge, address: own }: BridgeFacts, { address }: ChosenAddress): Promise<void> {
  if (own === undefined || !contains(own, address)) return
  // An entry of the past would answer for a machine that has left.
  await run(['ip', 'neigh', 'flush', 'to', address, 'dev', bridge])
  await sendDatagram(address)
  for (let poll = 0; poll < POLLS; poll++) {
    const neighbour = await neighbourOf(bridge, address)
    if (neighbour?.lladdr !== undefined && !neighbour.state?.includes('FAILED'))
      throw new TslxcError('exists', `cannot use address ${address}: ${neighbour.lladdr} answers for it on '${bridge}'`, {
        hint: 'pass another address',
      })
    if (neighbour?.state?.includes('FAILED')) return
    await sleep(POLL_MS)
  }
}

async function sendDatagram(address: string): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.send('', DISCARD_PORT, address, () => resolve()))
  socket.close()
}

async function neighbourOf(bridge: string, address: string): Promise<Neighbour | undefined> {
  const { stdout } = await run(['ip', '-j', 'neigh', 'show', 'to', address, 'dev', bridge])
  return stdout.trim() === '' ? undefined : (JSON.parse(stdout) as Neighbour[])[0]
}
