/** `resize`: another limit for a container's root file system, in its store, its record and its configuration. */
import { setKey, unsetKey } from '../../config/edit.ts'
import { HostError, StateError, UsageError } from '../../lib/errors.ts'
import { parseSize, printSize, printSizeRounded } from '../../lib/units.ts'
import { writeDurable } from '../../platform/files.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Usage, Volume } from '../../storage/driver.ts'
import { driverOf, volumeText } from '../../storage/index.ts'
import { lockExisting } from '../settle.ts'
import { type Container, readVolume, type StoreContext } from '../store.ts'
import { bringLimit, limitIn, loadOwnConfig, readOwnText } from './limit.ts'

export interface ResizeReport {
  readonly name: string
  readonly driver: string
  /** Absent: there was none. */
  readonly beforeBytes?: number
  /** Absent: there is none now. */
  readonly limitBytes?: number
  /** Bytes of the data. */
  readonly referencedBytes: number
  /** False: it had that limit already. */
  readonly changed: boolean
}

type Wish =
  | { readonly by: 'size'; readonly bytes: number }
  | { readonly by: 'difference'; readonly bytes: number }
  | { readonly by: 'none' }

/**
 * Of a running container too, as far as its storage can.
 * @param size `20G`, `+5G`, `-5G`, `none`; undefined: what `limits.disk` of the configuration says
 * @throws UsageError · NotFoundError · HostError when the content is larger, or the store has no quota; nothing is changed then
 */
export async function resizeContainer(context: StoreContext, name: string, size: string | undefined): Promise<ResizeReport> {
  const { paths } = context
  const wish = size === undefined ? undefined : parseWish(size)
  using held = await lockExisting(context, name, 'resize')
  const { container } = held
  const volume = await ownVolume(paths, container)
  const driver = driverOf(paths, volume)
  const usage = await driver.usage(volume)
  // A device has a size also where nothing limits it.
  const before = volume.limitBytes ?? usage.limitBytes
  const wanted = wish === undefined ? undefined : wantedBytes(name, wish, before)
  const text = wish === undefined ? undefined : withLimit(paths, container, wanted)
  if (wanted !== undefined) requireRoom(name, wanted, { usage, before })
  const loaded = loadOwnConfig(paths, container, text === undefined ? {} : { text })
  const made = await bringLimit(context, container, loaded, text).catch((error: unknown) => {
    throw refusal(name, error)
  })
  // The store has it already: the configuration alone was behind.
  if (made === undefined && text !== undefined && text !== readOwnText(container)) await writeDurable(container.configFile, text)
  return report(name, volume, { before, made: made ?? volume, usage, changed: made !== undefined })
}

function parseWish(text: string): Wish {
  if (text === 'none') return { by: 'none' }
  const sign = /^[+-]/.exec(text)?.[0]
  const bytes = parseSize(sign === undefined ? text : text.slice(1))
  if (bytes === undefined || bytes === 0) {
    throw new UsageError(`cannot read the size '${text}'`, { hint: 'for example 20G, +5G, -5G or none' })
  }
  return sign === undefined ? { by: 'size', bytes } : { by: 'difference', bytes: sign === '+' ? bytes : -bytes }
}

/** Undefined: none. */
function wantedBytes(name: string, wish: Wish, before: number | undefined): number | undefined {
  if (wish.by === 'none') return undefined
  if (wish.by === 'size') return wish.bytes
  if (before === undefined)
    throw new UsageError(`cannot resize '${name}' by a difference: it has no limit`, { hint: `tslxc resize ${name} 20G` })
  const wanted = before + wish.bytes
  if (wanted <= 0) throw new UsageError(`cannot resize '${name}': it has ${printSize(before)}, no more can be taken from it`)
  return wanted
}

async function ownVolume(paths: Paths, container: Container): Promise<Volume> {
  const { name } = container
  const made = await readVolume(container)
  const said = loadOwnConfig(paths, container).config.rootfs?.path
  if (made !== undefined && said !== undefined && volumeText(made) === `${said.driver}:${said.path}`) return made
  const reason = said === undefined ? 'it has no root file system' : 'rootfs.path leads to what was not made with it'
  throw new StateError('state', `cannot resize '${name}': ${reason}`, { hint: `tslxc config get ${name} rootfs.path` })
}

/** The text of config.yaml with another limit; what an included file says of it no longer holds. */
function withLimit(paths: Paths, container: Container, wanted: number | undefined): string {
  const text = readOwnText(container)
  const { configFile } = container
  if (wanted !== undefined) {
    return limitIn(paths, container, text) === wanted ? text : setKey(configFile, text, 'limits.disk', printSize(wanted))
  }
  const without = unsetKey(configFile, text, 'limits.disk') ?? text
  return limitIn(paths, container, without) === undefined ? without : setKey(configFile, without, 'limits.disk', '')
}

interface Room {
  readonly usage: Usage
  readonly before: number | undefined
}

/** Said with numbers before anything is touched; what a store counts besides the data, it says itself. */
function requireRoom(name: string, wanted: number, { usage, before }: Room): void {
  // What stands below an overlay is nobody's, and not counted.
  const held = Math.min(usage.usedBytes, usage.referencedBytes)
  if (wanted >= held || (before !== undefined && wanted >= before)) return
  throw new HostError(`cannot resize '${name}' to ${printSizeRounded(wanted)}: it holds ${printSizeRounded(held)}`, {
    code: 'no-space',
    hint: `tslxc df ${name}`,
  })
}

/** Nobody edited the file: the place in it says nothing. */
function refusal(name: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('place' in error)) return error
  const { hint, cause, message } = error as Error & { readonly hint?: string }
  const reason = cause instanceof Error ? cause.message : message.replace(/^.*?limits\.disk: /, '')
  const what = `cannot resize '${name}': ${reason}`
  const options = { ...(hint === undefined ? {} : { hint }), cause }
  if (cause instanceof StateError) return new StateError('running', what, options)
  return new HostError(what, {
    ...options,
    ...(cause instanceof HostError && cause.code === 'no-space' ? { code: 'no-space' as const } : {}),
  })
}

interface Outcome {
  readonly before: number | undefined
  readonly made: Volume
  readonly usage: Usage
  readonly changed: boolean
}

function report(name: string, { driver }: Volume, { before, made, usage, changed }: Outcome): ResizeReport {
  return {
    name,
    driver,
    ...(before === undefined ? {} : { beforeBytes: before }),
    ...(made.limitBytes === undefined ? {} : { limitBytes: made.limitBytes }),
    referencedBytes: usage.referencedBytes,
    changed,
  }
}
