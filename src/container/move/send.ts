/** A container as a stream of its store, or as an archive where the store has none. */

import { join } from 'node:path'
import { NotFoundError, StateError, UsageError } from '../../lib/errors.ts'
import { startPiped } from '../../platform/exec.ts'
import { readTextIfPresent } from '../../platform/files.ts'
import type { Volume } from '../../storage/driver.ts'
import { driverOf } from '../../storage/index.ts'
import type { CopySource } from '../copy/copy-source.ts'
import { findSnapshot, SNAPSHOT, type Snapshot } from '../snapshot/snapshot-store.ts'
import { readVolumeIn, type StoreContext } from '../store.ts'
import { parseCompression, writePart } from './archive-writer.ts'
import { exportContainer } from './export.ts'
import { FrameWriter } from './transfer-frames.ts'
import type { StreamHeader } from './transfer-header.ts'
import { whileStill, withSource } from './transfer-source.ts'

export interface SendRequest {
  readonly fd: number
  /** Against this snapshot, which the receiver has. */
  readonly from?: string | undefined
  /** Sends this snapshot, and not the container as it is now. */
  readonly snapshot?: string | undefined
  /** All of them; only as an archive. */
  readonly snapshots: boolean
  readonly format: 'auto' | 'native' | 'file'
  readonly allowRunning: boolean
  readonly version: string
}

export interface SendReport {
  readonly name: string
  readonly format: 'native' | 'file'
  readonly bytes: number
  readonly frozenMs?: number
  readonly notes: readonly string[]
}

/** @throws NotFoundError · UsageError · StateError · HostError when the reader has gone */
export async function sendContainer(context: StoreContext, name: string, request: SendRequest): Promise<SendReport> {
  if (request.from !== undefined && request.snapshots) {
    throw new UsageError('cannot use --snapshots with --from', { hint: 'send each with --from SNAP --snapshot NEXT' })
  }
  if (request.from !== undefined && request.format === 'file') {
    throw new UsageError('cannot use --from with --format file: an archive is always whole', { hint: 'leave --from out' })
  }
  const native = request.format === 'file' || request.snapshots ? undefined : await sendNative(context, name, request)
  if (native !== undefined) return native
  if (request.snapshots && request.format === 'native') {
    throw new UsageError('cannot use --snapshots with --format native', { hint: 'send each with --from SNAP --snapshot NEXT' })
  }
  const { version, snapshots, allowRunning, fd: to } = request
  const compression = parseCompression('zstd') ?? { kind: 'none' as const }
  const report = await exportContainer(context, name, {
    to,
    snapshots,
    compression,
    allowRunning,
    force: false,
    version,
    snapshot: request.snapshot,
  })
  return {
    name,
    format: 'file',
    bytes: report.bytes,
    notes: report.notes,
    ...(report.frozenMs === undefined ? {} : { frozenMs: report.frozenMs }),
  }
}

interface Snap {
  readonly found: Snapshot
  readonly volume: Volume
}

/** Undefined: the store has no streams, or none of this container, and that was left to us. */
async function sendNative(context: StoreContext, name: string, request: SendRequest): Promise<SendReport | undefined> {
  const mustBe = request.format === 'native' || request.from !== undefined
  return await withSource(context, { name }, 'send', async (source) => {
    const refuse = (reason: string): undefined => {
      if (mustBe)
        throw new StateError('state', `cannot send '${name}' as a stream of its storage: ${reason}`, {
          hint: `tslxc send ${name} --format file`,
        })
      return undefined
    }
    if (source.volume === undefined) return refuse('it has no root file system')
    const driver = driverOf(context.paths, source.volume)
    if (driver.stream === undefined) return refuse(`'${driver.name}' has none`)
    if (driver.stream.onlyKept === true && request.snapshot === undefined)
      return refuse(`'${driver.name}' sends snapshots alone, see --snapshot`)
    const base = request.from === undefined ? undefined : await snapshotOf(source, request.from)
    const named = request.snapshot === undefined ? undefined : await snapshotOf(source, request.snapshot)
    const send = async (volume: Volume): Promise<SendReport | undefined> => {
      const obstacle = await driver.stream?.obstacle(volume, base?.volume)
      if (obstacle !== undefined) return refuse(obstacle)
      return await write(context, source, { volume, named, base, request })
    }
    if (named !== undefined) return await send(named.volume)
    const options = { verb: 'send', allowRunning: request.allowRunning, snapshot: true }
    const { result, ...frozen } = await whileStill(context, source, options, (volume) => send(volume ?? (source.volume as Volume)))
    return result === undefined ? undefined : { ...result, ...frozen }
  })
}

async function snapshotOf({ container }: CopySource, name: string): Promise<Snap> {
  const found = await findSnapshot(container, name, 'send')
  const volume = await readVolumeIn(found.dir)
  if (volume === undefined) throw new NotFoundError(`cannot send snapshot '${name}' of '${container.name}': it has no volume.json`)
  return { found, volume }
}

interface Part {
  readonly volume: Volume
  readonly named: Snap | undefined
  readonly base: Snap | undefined
  readonly request: SendRequest
}

async function write(context: StoreContext, source: CopySource, { volume, named, base, request }: Part): Promise<SendReport> {
  const { paths, signal, onStep } = context
  const { stream } = driverOf(paths, volume)
  if (stream === undefined) throw new UsageError('cannot send: no stream')
  const { name } = source.container
  const writer = new FrameWriter((part) => writePart(request.fd, part))
  const config =
    named === undefined ? source.config.text : ((await readTextIfPresent(join(named.found.dir, 'config.yaml'))) ?? source.config.text)
  const header: StreamHeader = {
    format: 'tslxc-send',
    version: 1,
    kind: volume.driver,
    name,
    dir: source.container.dir,
    ...(source.record === undefined ? {} : { record: JSON.stringify(source.record) }),
    config,
    tslxc: request.version,
    ...(named === undefined
      ? {}
      : { snapshot: { name: named.found.name, text: (await readTextIfPresent(join(named.found.dir, SNAPSHOT))) ?? '' } }),
    ...(base === undefined ? {} : { base: { name: base.found.name, identity: await stream.identity(base.volume) } }),
  }
  const sender = startPiped(stream.sender(volume, base?.volume), { signal })
  try {
    await writer.begin(header)
    for await (const chunk of sender.stdout as AsyncIterable<Buffer>) {
      await writer.data(chunk)
      onStep?.({ text: `sending '${name}'`, done: writer.bytes, unit: 'bytes' })
    }
    // Before the end is told: half a stream must not look whole.
    await sender.ended
    await writer.end()
    return { name, format: 'native', bytes: writer.bytes, notes: [] }
  } finally {
    sender.kill()
    await sender.ended.catch(() => undefined)
  }
}
