/** Copies that are started at once and go when they stop. */
import { randomInt } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { NotFoundError, UsageError } from '../../lib/errors.ts'
import type { Paths } from '../../platform/paths.ts'
import { startContainers } from '../../runtime/native-program.ts'
import { destroyContainer } from '../destroy/destroy.ts'
import { containerOf, type StoreContext } from '../store.ts'
import { type CloneRequest, cloneContainers, pathsAt } from './copy.ts'
import type { ClonedContainer, ExtraMount } from './copy-make.ts'

export interface EphemeralRequest extends Omit<CloneRequest, 'mounts'> {
  /** None: one with a random name, `SRC_XXXXXX`. */
  readonly names: readonly string[]
  /** They stay when they stop. */
  readonly keepData: boolean
  /** `bind=/src[:/dst[:opts]]` or `overlay=/src[:/dst]`. */
  readonly mounts: readonly string[]
  /** The caller starts it, on its own terminal. */
  readonly foreground: boolean
}

const RANDOM_LENGTH = 6
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** A name has at most 63 characters. */
const MOST_OF_SOURCE = 63 - RANDOM_LENGTH - 1

/** When one does not start, none of them is left. @throws as `cloneContainers`; CommandError with what `start` said */
export async function copyEphemeral(context: StoreContext, request: EphemeralRequest): Promise<readonly ClonedContainer[]> {
  const target = pathsAt(context.paths, request.lxcpath)
  const names = request.names.length > 0 ? request.names : [randomName(target, request.source.name)]
  const mounts = request.mounts.map(parseMount)
  const copies = await cloneContainers(context, names, { ...request, ephemeral: !request.keepData, mounts })
  if (request.foreground) return copies
  try {
    context.onStep?.({ text: `starting ${names.map((name) => `'${name}'`).join(', ')}` })
    await startContainers(target, names)
  } catch (error) {
    const around = { ...context, paths: target }
    for (const name of names) await destroyContainer(around, name, { force: true, snapshots: true }).catch(() => undefined)
    throw error
  }
  return copies
}

function randomName(paths: Paths, source: string): string {
  for (;;) {
    const letters = Array.from({ length: RANDOM_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('')
    const name = `${source.slice(0, MOST_OF_SOURCE)}_${letters}`
    if (!existsSync(containerOf(paths, name).dir)) return name
  }
}

/** LXC's -m. @throws UsageError · NotFoundError */
export function parseMount(text: string): ExtraMount {
  const [, type, rest = ''] = /^(bind|overlay)=(.*)$/s.exec(text) ?? []
  const [source = '', target = source, options = '', ...more] = rest.split(':')
  const isWrong = type === undefined || more.length > 0 || !source.startsWith('/') || !target.startsWith('/')
  if (isWrong || (type === 'overlay' && options !== '') || /[\s\\]/.test(options)) {
    throw new UsageError(`cannot use --mount '${text}': it is not bind=/src[:/dst[:opts]] or overlay=/src[:/dst]`, {
      hint: '--mount bind=/srv/www:/srv/www:ro',
    })
  }
  const status = statSync(source, { throwIfNoEntry: false })
  if (status === undefined) throw new NotFoundError(`cannot mount '${source}': there is no such file`)
  if (type === 'overlay' && !status.isDirectory()) throw new UsageError(`cannot mount '${source}' as overlay: it is no directory`)
  return { type: type === 'bind' ? 'bind' : 'overlay', source, target, options, create: status.isDirectory() ? 'dir' : 'file' }
}
