/**
 * Immutable directories that overlay volumes stand on: `<lxcpath>/.layers/<id>/rootfs`. They belong to nobody and stay as long as a
 * volume below the lxcpath stands on them. A volume says so itself, in `layers.json` of its directory, which is there before the
 * layer is and goes before the volume does: so neither a crash nor a rename of a container lets a layer go that is needed.
 */
import { randomBytes } from 'node:crypto'
import { type Dirent, existsSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { HostError } from '../lib/errors.ts'
import { ensureDir, fileError, isAbsent } from '../platform/files.ts'
import { withLock } from '../platform/locks.ts'
import type { Paths } from '../platform/paths.ts'
import { removeTree } from '../platform/trees.ts'

export type LayerPaths = Pick<Paths, 'installRoot' | 'lxcpath'>

const ID_BYTES = 6
const ROOTFS_MODE = 0o755
const REFERENCES = 'layers.json'
/** What is left of the references of a volume on its way out: it holds no layer any more. */
const RELEASED = 'released.json'
const EMPTY = 'empty'
const GONE = '.gone-'
/** Where volumes can stand below an lxcpath; `*` is any one name. */
const OWNERS = ['*', '*/snaps/*', '*/volumes/*', '*/snaps/*/volumes/*', '.images/*', '.volumes/*']
const NO_OWNERS: readonly string[] = ['.layers', '.trash', '.alloc', '.images', '.volumes']
/** Records and journals that name volumes, wherever those stand. */
const RECORDS = ['volume.json', 'creating.json', 'pending.json']

interface References {
  readonly version: 1
  readonly layers: readonly string[]
}

export const layersDir = ({ lxcpath }: LayerPaths): string => join(lxcpath, '.layers')

/** Of a layer to be. */
export const newLayerPath = (paths: LayerPaths): string => join(layersDir(paths), randomBytes(ID_BYTES).toString('hex'), 'rootfs')

/** Absent: the directory is no layer of any store, but one that somebody wrote into a configuration. */
export function lxcpathOfLayer(path: string): string | undefined {
  const store = dirname(dirname(path))
  return basename(path) === 'rootfs' && basename(store) === '.layers' ? dirname(store) : undefined
}

/** The one that new volumes stand on; it is never removed. */
export const emptyLayerOf = (lxcpath: string): string => join(lxcpath, '.layers', EMPTY, 'rootfs')

/** Makes it, too. */
export async function emptyLayer(paths: LayerPaths): Promise<string> {
  const path = emptyLayerOf(paths.lxcpath)
  if (existsSync(path)) return path
  await makeLayerDir(path)
  await mkdir(path, { mode: ROOTFS_MODE }).catch((error: unknown) => {
    if (!existsSync(path)) throw fileError('create', path, error)
  })
  return path
}

/** The directory that a layer stands in. */
export async function makeLayerDir(path: string): Promise<void> {
  await ensureDir(dirname(path))
}

/** Says that the volume in `dir` stands on `layers`, while none of them can go. @throws HostError when one is gone already */
export async function holdLayers(paths: LayerPaths, dir: string, layers: readonly string[], planned?: string): Promise<void> {
  await withStore(paths, { shared: true }, async () => {
    const lost = layers.find((layer) => layer !== planned && !existsSync(layer))
    if (lost !== undefined) throw new HostError(`cannot use the layer '${lost}': it is gone`)
    const references: References = { version: 1, layers }
    const file = join(dir, REFERENCES)
    try {
      await ensureDir(dir)
      // No flush: a record of the volume that is durable holds its layers too.
      await writeFile(`${file}.new`, JSON.stringify(references), { mode: 0o600 })
      await rename(`${file}.new`, file)
      await rm(join(dir, RELEASED), { force: true })
    } catch (error) {
      throw fileError('write', file, error)
    }
  })
}

/** Whether a volume of ours is in `dir`, or one on its way out. */
export const holdsLayers = (dir: string): boolean => existsSync(join(dir, REFERENCES)) || existsSync(join(dir, RELEASED))

/**
 * Lets go of what the volume in `dir` stands on; layers that nobody else holds are removed. Can be called again after a crash.
 * @param known what its record says, for the case that the directory says nothing any more
 */
export async function releaseLayers(paths: LayerPaths, dir: string, known: readonly string[] = []): Promise<void> {
  const held = readReferences(join(dir, REFERENCES)) ?? readReferences(join(dir, RELEASED)) ?? []
  const candidates = new Set([...held, ...known].filter((layer) => isOwn(paths, layer)))
  try {
    renameSync(join(dir, REFERENCES), join(dir, RELEASED))
  } catch (error) {
    if (!isAbsent(error)) throw fileError('rename', join(dir, REFERENCES), error)
  }
  await removeUnused(paths, candidates)
}

interface Removal {
  readonly candidates: Set<string>
  readonly done: Promise<void>
}

const removals = new Map<string, Removal>()

/** Those of all volumes that are let go of in this moment are looked for together: each search reads what all others stand on. */
async function removeUnused(paths: LayerPaths, candidates: ReadonlySet<string>): Promise<void> {
  if (candidates.size === 0) return
  const store = layersDir(paths)
  let removal = removals.get(store)
  if (removal === undefined) {
    const all = new Set<string>()
    const start = async (): Promise<void> => {
      await nextTurn()
      removals.delete(store)
      await removeNow(paths, all)
    }
    removal = { candidates: all, done: start() }
    removals.set(store, removal)
  }
  for (const candidate of candidates) removal.candidates.add(candidate)
  await removal.done
}

/** Of these layers, the ones that nobody holds. */
async function removeNow(paths: LayerPaths, candidates: ReadonlySet<string>): Promise<void> {
  const store = layersDir(paths)
  await withStore(paths, { shared: false }, async () => {
    for (const layer of unused(paths, candidates)) {
      const dir = dirname(layer)
      await rename(dir, join(store, `${GONE}${basename(dir)}`)).catch((error: unknown) => {
        if (!isAbsent(error)) throw fileError('rename', dir, error)
      })
    }
  })
  for (const { name } of entries(store).filter((entry) => entry.name.startsWith(GONE))) await removeTree(paths, join(store, name))
}

/** Layers that no volume below the lxcpath stands on. */
export function unusedLayers(paths: LayerPaths): readonly string[] {
  const all = entries(layersDir(paths))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== EMPTY)
    .map(({ name }) => join(layersDir(paths), name, 'rootfs'))
  return [...unused(paths, new Set(all))]
}

/** Removes what nobody stands on. @returns the layers that were removed */
export async function collectLayers(paths: LayerPaths): Promise<readonly string[]> {
  const found = unusedLayers(paths)
  await removeUnused(paths, new Set(found))
  return found.filter((layer) => !existsSync(layer))
}

const isOwn = (paths: LayerPaths, layer: string): boolean => lxcpathOfLayer(layer) === paths.lxcpath && basename(dirname(layer)) !== EMPTY

/** Looks until each has been found to be used: with many clones the first ones that are met will do. */
function unused(paths: LayerPaths, candidates: ReadonlySet<string>): ReadonlySet<string> {
  const left = new Set(candidates)
  for (const pattern of OWNERS) {
    for (const owner of matches(paths.lxcpath, pattern.split('/'))) {
      for (const layer of layersOf(owner)) left.delete(layer)
      if (left.size === 0) return left
    }
  }
  return left
}

function* matches(dir: string, [first, ...rest]: readonly string[]): Generator<string> {
  if (first === undefined) yield dir
  else if (first !== '*') yield* matches(join(dir, first), rest)
  else {
    for (const entry of entries(dir)) {
      if (entry.isDirectory() && !NO_OWNERS.includes(entry.name)) yield* matches(join(dir, entry.name), rest)
    }
  }
}

/** What the volumes of an owner stand on: those in its directory, and those its records name. */
function* layersOf(owner: string): Generator<string> {
  const found = entries(owner)
  for (const { name } of found) yield* readReferences(join(owner, name, REFERENCES)) ?? []
  for (const { name } of found.filter((entry) => RECORDS.includes(entry.name))) {
    for (const { dir, lowers } of recordedVolumes(join(owner, name))) {
      if (existsSync(join(dir, RELEASED)) || !existsSync(dir)) continue
      yield* readReferences(join(dir, REFERENCES)) ?? lowers
    }
  }
}

interface Recorded {
  readonly dir: string
  readonly lowers: readonly string[]
}

function recordedVolumes(file: string): readonly Recorded[] {
  const text = readText(file)
  if (text === undefined || !text.includes('"overlay"')) return []
  const found: Recorded[] = []
  try {
    JSON.parse(text, (_key, value: unknown) => {
      if (isRecorded(value)) found.push(value)
      return value
    })
  } catch {
    // A file that is no JSON names no volume; whoever needs the volume will say so.
  }
  return found
}

const isRecorded = (value: unknown): value is Recorded =>
  typeof value === 'object' && value !== null && 'driver' in value && value.driver === 'overlay' && 'dir' in value && 'lowers' in value

function readReferences(file: string): readonly string[] | undefined {
  const text = readText(file)
  if (text === undefined) return undefined
  try {
    return (JSON.parse(text) as References).layers
  } catch {
    return undefined
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function entries(dir: string): readonly Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
}

async function withStore<T>(paths: LayerPaths, { shared }: { readonly shared: boolean }, action: () => Promise<T>): Promise<T> {
  const store = layersDir(paths)
  if (!existsSync(store)) await ensureDir(store)
  return await withLock(paths, { path: join(store, '.lock'), object: `'${store}'`, command: 'tslxc', shared }, action)
}
